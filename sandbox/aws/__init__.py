"""The embedded AWS: ministack and moto as one endpoint, with what both lack and the collection's roles need.

Beside the AWS APIs it serves paths of its own:

    GET  /_sandbox/health              200 when it serves
    POST /_sandbox/events              an EventBridge event as an AWS service puts it
    POST /_sandbox/spot-interruption   the two-minute warning of a Spot instance, and its end
    POST /_sandbox/capacity            how many instances of a type a zone has left
    GET  /_sandbox/input/<file>.jpeg   a picture for image-to-image requests
    POST /_sandbox/token-review        the API server's authentication webhook, as EKS has it
    GET  /v1/credentials               the credentials endpoint of EKS Pod Identity
"""
