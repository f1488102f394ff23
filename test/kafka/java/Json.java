import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.Base64;
import java.util.HashMap;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;

/** Kafka's data as JSON: bytes are base64 or null, a partition is "topic-partition", a header an array of name and value. */
final class Json {
  static final ObjectMapper MAPPER = new ObjectMapper();

  private Json() {}

  static byte[] bytes(JsonNode node) {
    return node == null || node.isNull() ? null : Base64.getDecoder().decode(node.asText());
  }

  static String text(byte[] bytes) {
    return bytes == null ? null : Base64.getEncoder().encodeToString(bytes);
  }

  static TopicPartition partition(String name) {
    int dash = name.lastIndexOf('-');
    return new TopicPartition(name.substring(0, dash), Integer.parseInt(name.substring(dash + 1)));
  }

  static Map<String, String> strings(JsonNode object) {
    Map<String, String> map = new HashMap<>();
    if (object != null) object.properties().forEach(each -> map.put(each.getKey(), each.getValue().asText()));
    return map;
  }

  static ObjectNode record(ConsumerRecord<byte[], byte[]> record) {
    ObjectNode node = MAPPER.createObjectNode();
    node.put("offset", record.offset());
    node.put("timestamp", record.timestamp());
    node.put("timestampType", record.timestampType().toString());
    node.put("leaderEpoch", record.leaderEpoch().orElse(-1));
    node.put("key", text(record.key()));
    node.put("value", text(record.value()));
    ArrayNode headers = node.putArray("headers");
    for (Header header : record.headers()) headers.addArray().add(header.key()).add(text(header.value()));
    return node;
  }

  static ProducerRecord<byte[], byte[]> toSend(TopicPartition to, JsonNode node) {
    Long timestamp = node.hasNonNull("timestamp") ? node.get("timestamp").asLong() : null;
    ProducerRecord<byte[], byte[]> record =
        new ProducerRecord<>(to.topic(), to.partition(), timestamp, bytes(node.get("key")), bytes(node.get("value")));
    for (JsonNode header : node.get("headers")) record.headers().add(header.get(0).asText(), bytes(header.get(1)));
    return record;
  }
}
