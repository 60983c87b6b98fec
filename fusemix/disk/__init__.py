"""Files and folders: complete or absent, written by one at a time, and nothing deleted that is not ours."""
