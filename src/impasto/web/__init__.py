"""The studio: impasto in the browser.

A server that never decodes a picture nor loads a network, a painter for each device, and a reader
that decodes what is uploaded: processes of their own, so that none can take another down. Records
hold the truth; what passes between the processes only wakes them and shows how far they are.
"""
