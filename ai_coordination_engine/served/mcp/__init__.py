"""The Model Context Protocol: exposed tasks are tools. Revision 2026-07-28, and those of 2025."""
