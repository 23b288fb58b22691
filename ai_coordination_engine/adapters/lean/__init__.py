"""A botocore client whose frequent calls are cheap.

A call keeps botocore's path: events, credentials, retries and errors are botocore's own. Replaced
is what takes time without need: what is computed anew though it is always the same (endpoint, user
agent), the walk through the shapes of requests and responses that are plain JSON, and the general
forms of headers and HTTP messages. What the replaced parts cannot do, such as binary values, is
left to botocore.
"""
