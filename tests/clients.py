"""All committed records of topics, as confluent-kafka reads them and fastavro decodes them, one JSON object a line.

    clients.py BOOTSTRAP REGISTRY TOPIC...
"""

import base64
import io
import json
import struct
import sys
import urllib.request
from datetime import datetime, timedelta, timezone

import fastavro
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

bootstrap, registry, *topics = sys.argv[1:]
schemas = {}


def schema(number):
    if number not in schemas:
        with urllib.request.urlopen(f"{registry}/schemas/ids/{number}", timeout=10) as answer:
            schemas[number] = fastavro.parse_schema(json.loads(json.load(answer)["schema"]))
    return schemas[number]


def decoded(data):
    """What an Avro record says; nothing if it is none."""
    if not data or data[0] != 0:
        return None
    stream = io.BytesIO(data[5:])
    value = fastavro.schemaless_reader(stream, schema(struct.unpack(">I", data[1:5])[0]), None)
    assert not stream.read(), "bytes behind the record"
    return value


def text(data):
    return None if data is None else base64.b64encode(data).decode()


def milliseconds(value):
    """An instant as in JSON: what the logical type of the schema stands for."""
    assert isinstance(value, datetime), value
    return (value - datetime.fromtimestamp(0, timezone.utc)) // timedelta(milliseconds=1)


consumer = Consumer({
    "bootstrap.servers": bootstrap,
    "group.id": "python",
    "isolation.level": "read_committed",
    "enable.auto.commit": False,
    "enable.partition.eof": True,
})
partitions = [
    TopicPartition(topic, partition, OFFSET_BEGINNING)
    for topic in topics
    for partition in consumer.list_topics(topic, timeout=20).topics[topic].partitions
]
consumer.assign(partitions)
left = len(partitions)
while left:
    message = consumer.poll(20)
    assert message is not None, "no answer in time"
    if message.error():
        assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
        left -= 1
        continue
    print(json.dumps({
        "topic": message.topic(),
        "partition": message.partition(),
        "offset": message.offset(),
        "key": text(message.key()),
        "value": text(message.value()),
        "headers": [[name, text(value)] for name, value in message.headers() or []],
        "avro_key": decoded(message.key()),
        "avro": decoded(message.value()),
    }, default=milliseconds))
consumer.close()
