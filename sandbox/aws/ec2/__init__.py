"""What moto's EC2 lacks: fleets as Karpenter needs them, capacity, prices, Bottlerocket images, state-change events."""
