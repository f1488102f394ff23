import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.MemberDescription;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;

/** Groups as Kafka's Admin describes them, and a member of one. */
final class Groups {
  private Groups() {}

  /** {"groups": [name, …]}: of each its state, assignor and members, these by client id and then instance id. */
  static JsonNode describe(Admin admin, JsonNode request) throws Exception {
    List<String> names = new ArrayList<>();
    request.get("groups").forEach(each -> names.add(each.asText()));
    ObjectNode all = Json.MAPPER.createObjectNode();
    admin.describeConsumerGroups(names).all().get().forEach((name, group) -> {
      ObjectNode node = all.putObject(name).put("state", group.groupState().toString()).put("assignor", group.partitionAssignor());
      ArrayNode members = node.putArray("members");
      group.members().stream()
          .sorted(Comparator.comparing(MemberDescription::clientId).thenComparing(each -> each.groupInstanceId().orElse("")))
          .forEach(each -> addMember(members, each));
    });
    return all;
  }

  private static void addMember(ArrayNode members, MemberDescription member) {
    ObjectNode node = members.addObject();
    node.put("memberId", member.consumerId());
    node.put("groupInstanceId", member.groupInstanceId().orElse(null));
    node.put("clientId", member.clientId());
    node.put("host", member.host());
    ArrayNode partitions = node.putArray("partitions");
    member.assignment().topicPartitions().stream().map(TopicPartition::toString).sorted().forEach(partitions::add);
  }

  /** Reads so many records as a member of its group, commits and leaves; answers with its generation and with what is committed. */
  static JsonNode read(KafkaConsumer<byte[], byte[]> consumer, JsonNode request, Duration longest) {
    List<String> topics = new ArrayList<>();
    request.get("topics").forEach(each -> topics.add(each.asText()));
    ObjectNode answer = Json.MAPPER.createObjectNode();
    ObjectNode committed = answer.putObject("committed");
    int count = 0;
    try (consumer) {
      consumer.subscribe(topics);
      long deadline = System.nanoTime() + longest.toNanos();
      while (count < request.get("count").asInt()) {
        if (System.nanoTime() > deadline) throw new IllegalStateException("only " + count + " records came");
        count += consumer.poll(Duration.ofMillis(200)).count();
      }
      consumer.commitSync();
      answer.put("generation", consumer.groupMetadata().generationId());
      consumer.committed(consumer.assignment()).forEach((partition, offset) -> {
        if (offset != null) committed.put(partition.toString(), offset.offset());
      });
    }
    return answer;
  }
}
