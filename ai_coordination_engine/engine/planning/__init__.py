"""How sessions are created: starts, forks, questions."""
