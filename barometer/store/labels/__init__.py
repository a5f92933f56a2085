"""Labels by people: annotations, queues, sampling, and how good labels are."""
