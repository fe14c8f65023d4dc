"""One contact-centre call as one OpenTelemetry trace, with a verdict."""
