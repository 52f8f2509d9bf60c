"""Files become checked documents that know where each field was written.

`loading.load` is the way in; `documents` holds what it returns, `problems.render` shows what is wrong, and
`sources.source_of` names the directory that owns what was loaded. Nothing here asks the host or the store, and nothing
imports pydantic or a YAML library until a file has to be parsed: an unchanged file costs a hash.
"""
