import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.apache.kafka.clients.consumer.ConsumerPartitionAssignor;
import org.apache.kafka.clients.consumer.ConsumerPartitionAssignor.GroupSubscription;
import org.apache.kafka.clients.consumer.ConsumerPartitionAssignor.Subscription;
import org.apache.kafka.clients.consumer.RangeAssignor;
import org.apache.kafka.clients.consumer.RoundRobinAssignor;
import org.apache.kafka.clients.consumer.StickyAssignor;
import org.apache.kafka.common.Cluster;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;

/** Kafka's assignors, called as the leader of a group calls them. */
final class Assignors {
  private static final Node BROKER = new Node(0, "localhost", 9092);

  private static final Map<String, ConsumerPartitionAssignor> BY_NAME =
      Map.of("range", new RangeAssignor(), "roundrobin", new RoundRobinAssignor(), "sticky", new StickyByOwned());

  private Assignors() {}

  /** Takes what a member has as it says by itself, in the way of newer assignors; the old way is bytes that it was given last time. */
  private static final class StickyByOwned extends StickyAssignor {
    @Override
    protected MemberData memberData(Subscription subscription) {
      return new MemberData(subscription.ownedPartitions(), Optional.of(1));
    }
  }

  /**
   * {"assignor": …, "inputs": [{"members": [{memberId, groupInstanceId, topics, owned: [partition, …]}], "partitionCounts": {topic: …}}]}:
   * of each input the partitions of each member.
   */
  static JsonNode assign(JsonNode request) {
    ConsumerPartitionAssignor assignor = BY_NAME.get(request.get("assignor").asText());
    ArrayNode answers = Json.MAPPER.createArrayNode();
    for (JsonNode input : request.get("inputs")) {
      Cluster cluster = cluster(input.get("partitionCounts"));
      ObjectNode answer = answers.addObject();
      assignor.assign(cluster, subscriptions(input.get("members"))).groupAssignment().forEach((memberId, assignment) -> {
        ArrayNode partitions = answer.putArray(memberId);
        assignment.partitions().forEach(each -> partitions.add(each.toString()));
      });
    }
    return answers;
  }

  private static Cluster cluster(JsonNode counts) {
    Node[] replicas = {BROKER};
    List<PartitionInfo> partitions = new ArrayList<>();
    for (var topic : counts.properties()) {
      for (int partition = 0; partition < topic.getValue().asInt(); partition += 1) {
        partitions.add(new PartitionInfo(topic.getKey(), partition, BROKER, replicas, replicas));
      }
    }
    return new Cluster("one", List.of(BROKER), partitions, Set.of(), Set.of());
  }

  private static GroupSubscription subscriptions(JsonNode members) {
    Map<String, Subscription> all = new HashMap<>();
    for (JsonNode member : members) {
      List<String> topics = new ArrayList<>();
      member.get("topics").forEach(each -> topics.add(each.asText()));
      List<TopicPartition> owned = new ArrayList<>();
      member.get("owned").forEach(each -> owned.add(Json.partition(each.asText())));
      Subscription subscription = new Subscription(topics, null, owned);
      if (member.hasNonNull("groupInstanceId")) subscription.setGroupInstanceId(Optional.of(member.get("groupInstanceId").asText()));
      all.put(member.get("memberId").asText(), subscription);
    }
    return new GroupSubscription(all);
  }
}
