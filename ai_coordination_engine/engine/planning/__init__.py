"""How sessions come to be: starts, forks, questions."""
