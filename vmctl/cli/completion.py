"""`vmctl completion`: the script that teaches a shell to complete verbs, options, kinds and names."""

from __future__ import annotations

import click

from vmctl.cli import COMPLETION_VARIABLE, PROGRAM, output
from vmctl.cli.options import verb
from vmctl.cli.verbs import Verbs

SHELLS = ("bash", "zsh", "fish")


@verb(
    "completion",
    examples="""
    source <(vmctl completion bash)
    vmctl completion zsh > "${fpath[1]}/_vmctl"
    vmctl completion fish > ~/.config/fish/completions/vmctl.fish
    """,
)
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    """Print the completion script of a shell.

    Kinds and names are completed from what the store holds at that moment.
    """
    from click.shell_completion import BashComplete, FishComplete, ZshComplete

    classes = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}
    script = classes[shell](Verbs(PROGRAM), {}, PROGRAM, COMPLETION_VARIABLE)
    # click's own source() starts a bash to see how old it is; the script alone is what is asked for
    output.line((script.source_template % script.source_vars()).strip())
