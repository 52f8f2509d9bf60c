"""How a number of cores is laid out in sockets, and which numbers can be."""

from __future__ import annotations

MOST_CORES = 248
_LIMITS = ((16, 1), (32, 2), (64, 4), (MOST_CORES, 8))  # up to so many cores, so many sockets


def sockets_for(cores: int) -> int:
    """The sockets that so many cores are laid out in, whether or not they divide evenly."""
    return next((sockets for limit, sockets in _LIMITS if cores <= limit), 8)


def legal(cores: int) -> bool:
    """Whether the cores fill their sockets evenly and do not exceed what a guest can have."""
    return 1 <= cores <= MOST_CORES and cores % sockets_for(cores) == 0


def topology(cores: int) -> tuple[int, int]:
    """(sockets, cores per socket) of a legal number of cores; raises ValueError with the nearest legal ones."""
    if not legal(cores):
        raise ValueError(wrong_cores(cores))
    sockets = sockets_for(cores)
    return sockets, cores // sockets


def nearest(cores: int) -> tuple[int, ...]:
    """The legal numbers next to an illegal one: the one below and the one above, where there is one."""
    below = next((number for number in range(min(cores, MOST_CORES), 0, -1) if legal(number)), None)
    above = next((number for number in range(max(cores, 1), MOST_CORES + 1) if legal(number)), None)
    return tuple(number for number in (below, above) if number is not None)


def wrong_cores(cores: int) -> str:
    """Why a number of cores cannot be, and what can."""
    near = " or ".join(map(str, nearest(cores)))
    if not 1 <= cores <= MOST_CORES:
        return f"{cores} cores cannot be: a machine has 1 to {MOST_CORES}; nearest: {near}"
    return f"{cores} cores do not fill {sockets_for(cores)} sockets evenly; nearest: {near}"
