"""`detector mpta`: packages as their authors and their users meet them on the command line."""
