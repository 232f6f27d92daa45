"""RabbitMQ: its management API and its AMQP port."""
