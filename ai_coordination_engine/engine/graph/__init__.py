"""Read the stored graph of a session: keys, edges and their outcomes, rules, inputs of agents."""
