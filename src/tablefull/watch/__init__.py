"""Time: the only loops with a clock. What is looked at again and again, remembered, and told when it changes."""
