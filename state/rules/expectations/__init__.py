"""The rules that a processor can state about its rows, a file each.

A rule's file has its keys in the pipeline file, the columns it names, the figures it asks the warehouse for,
and how it judges them. `backfilld.state.rules.expectation_suite` lists the rules.
"""
