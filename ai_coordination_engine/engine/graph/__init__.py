"""Reading the stored graph: keys, edges and their outcomes, rules, the inputs of an agent."""
