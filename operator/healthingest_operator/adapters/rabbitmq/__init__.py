"""The adapter for RabbitMQ: its management API and its AMQP port."""
