"""Names of files and folders that are the system's and not the user's data.

Place in the flow: whatever walks a folder of data or of another tool's files asks here first.
"""

SYSTEM_NAMES = frozenset(
    (
        "__macosx",
        "@eadir",
        "@recycle",
        "@recently-snapshot",
        "#recycle",
        "#snapshot",
        "$recycle.bin",
        "recycler",
        "system volume information",
        "lost+found",
        "network trash folder",
        "temporary items",
        "thumbs.db",
        "ehthumbs.db",
        "ehthumbs_vista.db",
        "desktop.ini",
        "icon\r",
        "__pycache__",
    )
)
"""What systems, archives and storage boxes leave in folders of data, in lower case."""


def is_system_name(name: str) -> bool:
    """Whether a file or folder of this name is the system's and not the user's data; hidden ones are, too."""
    return name.startswith((".", "~$")) or name.lower() in SYSTEM_NAMES
