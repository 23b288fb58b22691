"""Run it: python -m unittest, or pytest."""

import unittest

from my_agents import count_words

from ai_coordination_engine import AgentRequest


class CountWords(unittest.TestCase):
    def test_it_counts_words(self) -> None:
        self.assertEqual(count_words(AgentRequest(input="a short text")), {"words": 3})
