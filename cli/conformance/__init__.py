"""`detector protocol-test`: whether a worker keeps the rules of the CMS protocol, ours or anybody's."""
