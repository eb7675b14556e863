"""`python -m comity`: the command, where no script is installed.

Owns: nothing but the way to `cli.main`. May not know: commands.
"""

from comity.cli.main import main

if __name__ == "__main__":
    main()
