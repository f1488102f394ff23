import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsSpec;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.ProducerState;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Kafka's own clients behind a line of JSON each way: {"command": …} is answered with {"result": …} or {"error": …}, in order. Ends
 * with its standard input. See judge.ts for what each command takes and gives.
 */
public final class Judge {
  private static final Duration LONGEST = Duration.ofSeconds(60);

  private interface Command {
    JsonNode answer(JsonNode request) throws Exception;
  }

  private final Map<String, Command> commands = new HashMap<>();
  private final Map<JsonNode, KafkaProducer<byte[], byte[]>> producers = new HashMap<>();
  private String bootstrap = "";
  private Admin admin;
  private Storm storm;

  private Judge() {
    commands.put("format", this::format);
    commands.put("connect", this::connect);
    commands.put("disconnect", request -> disconnect());
    commands.put("createTopics", this::createTopics);
    commands.put("alterTopic", this::alterTopic);
    commands.put("deleteRecords", this::deleteRecords);
    commands.put("consume", this::consume);
    commands.put("offsetsForTimes", this::offsetsForTimes);
    commands.put("epochEnds", this::epochEnds);
    commands.put("latestByMaxTimestamp", this::latestByMaxTimestamp);
    commands.put("producers", this::producers);
    commands.put("produce", this::produce);
    commands.put("transaction", this::transaction);
    commands.put("groupOffsets", request -> groupOffsets());
    commands.put("commit", this::commit);
    commands.put("describeGroups", request -> Groups.describe(admin, request));
    commands.put("readAsGroup", this::readAsGroup);
    commands.put("startStorm", this::startStorm);
    commands.put("stopStorm", request -> storm.stop());
    commands.put("assign", Assignors::assign);
  }

  public static void main(String[] args) throws Exception {
    PrintStream out = System.out;
    // Nothing else may come between the answers.
    System.setOut(System.err);
    Judge judge = new Judge();
    BlockingQueue<String> lines = new LinkedBlockingQueue<>();
    Thread reader = new Thread(() -> read(lines), "reader");
    reader.setDaemon(true);
    reader.start();
    while (true) {
      String line = lines.take();
      ObjectNode answer = Json.MAPPER.createObjectNode();
      try {
        JsonNode request = Json.MAPPER.readTree(line);
        answer.set("result", judge.commands.get(request.get("command").asText()).answer(request));
      } catch (Exception e) {
        Throwable cause = e instanceof java.util.concurrent.ExecutionException ? e.getCause() : e;
        answer.put("error", cause.toString());
      }
      out.write((Json.MAPPER.writeValueAsString(answer) + "\n").getBytes(StandardCharsets.UTF_8));
      out.flush();
    }
  }

  /** Apart from the commands, so that the end of input ends one that waits for a broker. */
  private static void read(BlockingQueue<String> lines) {
    try (BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
      in.lines().forEach(lines::add);
    } catch (IOException | UncheckedIOException e) {
      // As good as its end.
    }
    Runtime.getRuntime().halt(0);
  }

  // ---------------------------------------------------------------------------------------------------------------- the cluster

  private JsonNode format(JsonNode request) {
    ByteArrayOutputStream said = new ByteArrayOutputStream();
    String[] args = {"format", "-t", request.get("clusterId").asText(), "-c", request.get("properties").asText()};
    int code = kafka.tools.StorageTool.execute(args, new PrintStream(said, true));
    if (code != 0) throw new IllegalStateException("format: " + said);
    return null;
  }

  private JsonNode connect(JsonNode request) {
    disconnect();
    bootstrap = request.get("bootstrap").asText();
    admin = Admin.create(Map.of("bootstrap.servers", bootstrap, "default.api.timeout.ms", 60_000, "request.timeout.ms", 20_000));
    return null;
  }

  private JsonNode disconnect() {
    producers.values().forEach(producer -> producer.close(Duration.ZERO));
    producers.clear();
    if (admin != null) admin.close(Duration.ZERO);
    admin = null;
    return null;
  }

  private static <T> T wait(Future<T> future) throws Exception {
    return future.get(LONGEST.toMillis(), TimeUnit.MILLISECONDS);
  }

  private static <T> T wait(KafkaFuture<T> future) throws Exception {
    return future.get(LONGEST.toMillis(), TimeUnit.MILLISECONDS);
  }

  /** Topics take a moment to have a leader, and the coordinator one to have loaded its partitions: consumers and Admin retry. */
  private JsonNode createTopics(JsonNode request) throws Exception {
    List<NewTopic> topics = new ArrayList<>();
    for (JsonNode topic : request.get("topics")) {
      NewTopic each = new NewTopic(topic.get("name").asText(), topic.get("partitions").asInt(), (short) 1);
      topics.add(each.configs(Json.strings(topic.get("config"))));
    }
    wait(admin.createTopics(topics).all());
    return null;
  }

  private JsonNode alterTopic(JsonNode request) throws Exception {
    List<AlterConfigOp> changes = new ArrayList<>();
    Json.strings(request.get("config"))
        .forEach((name, value) -> changes.add(new AlterConfigOp(new ConfigEntry(name, value), AlterConfigOp.OpType.SET)));
    ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, request.get("name").asText());
    wait(admin.incrementalAlterConfigs(Map.of(topic, changes)).all());
    return null;
  }

  private JsonNode deleteRecords(JsonNode request) throws Exception {
    TopicPartition partition = Json.partition(request.get("partition").asText());
    RecordsToDelete before = RecordsToDelete.beforeOffset(request.get("before").asLong());
    wait(admin.deleteRecords(Map.of(partition, before)).all());
    return null;
  }

  // ------------------------------------------------------------------------------------------------------------------- reading

  private KafkaConsumer<byte[], byte[]> consumer(Map<String, Object> more) {
    Map<String, Object> settings = new HashMap<>();
    settings.put("bootstrap.servers", bootstrap);
    settings.put("key.deserializer", ByteArrayDeserializer.class);
    settings.put("value.deserializer", ByteArrayDeserializer.class);
    settings.put("isolation.level", "read_uncommitted");
    settings.put("enable.auto.commit", false);
    settings.put("auto.offset.reset", "none");
    settings.put("default.api.timeout.ms", 60_000);
    settings.putAll(more);
    return new KafkaConsumer<>(settings);
  }

  private static List<TopicPartition> partitionsOf(JsonNode names) {
    List<TopicPartition> partitions = new ArrayList<>();
    names.forEach(name -> partitions.add(Json.partition(name.asText())));
    return partitions;
  }

  /** Every record of some partitions, from their log start offsets to their ends, which {@code isolation} may set earlier. */
  private JsonNode consume(JsonNode request) throws Exception {
    List<TopicPartition> partitions = partitionsOf(request.get("partitions"));
    ObjectNode all = Json.MAPPER.createObjectNode();
    try (KafkaConsumer<byte[], byte[]> consumer = consumer(Map.of("isolation.level", request.get("isolation").asText()))) {
      Map<TopicPartition, Long> starts = consumer.beginningOffsets(partitions);
      Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
      consumer.assign(partitions);
      for (TopicPartition each : partitions) {
        consumer.seek(each, starts.get(each));
        ObjectNode node = all.putObject(each.toString());
        node.put("start", starts.get(each)).put("end", ends.get(each)).putArray("records");
      }
      Set<TopicPartition> unread = new HashSet<>(partitions);
      long deadline = System.nanoTime() + LONGEST.toNanos();
      while (true) {
        unread.removeIf(each -> consumer.position(each) >= ends.get(each));
        if (unread.isEmpty()) return all;
        if (System.nanoTime() > deadline) throw new IllegalStateException("not read to the end: " + unread);
        for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(200))) {
          String name = record.topic() + "-" + record.partition();
          ((ArrayNode) all.get(name).get("records")).add(Json.record(record));
        }
      }
    }
  }

  /** {"times": {partition: [timestamp, …]}}: for each the offset or null. One question to the broker serves all partitions. */
  private JsonNode offsetsForTimes(JsonNode request) {
    JsonNode times = request.get("times");
    ObjectNode all = Json.MAPPER.createObjectNode();
    int most = 0;
    for (JsonNode each : times) most = Math.max(most, each.size());
    try (KafkaConsumer<byte[], byte[]> consumer = consumer(Map.of())) {
      for (int index = 0; index < most; index += 1) {
        Map<TopicPartition, Long> question = new HashMap<>();
        for (var entry : times.properties()) {
          if (index < entry.getValue().size()) {
            question.put(Json.partition(entry.getKey()), entry.getValue().get(index).asLong());
          }
        }
        consumer.offsetsForTimes(question).forEach((partition, found) -> {
          ArrayNode answers = all.withArray("/" + partition);
          if (found == null) answers.addNull();
          else answers.add(found.offset());
        });
      }
    }
    return all;
  }

  /** {"epochs": {partition: how many}}: where each epoch from 0 on ends, as [epoch, offset]. */
  private JsonNode epochEnds(JsonNode request) throws Exception {
    JsonNode counts = request.get("epochs");
    ObjectNode all = Json.MAPPER.createObjectNode();
    int most = 0;
    for (JsonNode each : counts) most = Math.max(most, each.asInt());
    for (int epoch = 0; epoch < most; epoch += 1) {
      Map<TopicPartition, Integer> question = new HashMap<>();
      for (var entry : counts.properties()) {
        if (epoch < entry.getValue().asInt()) question.put(Json.partition(entry.getKey()), epoch);
      }
      EpochQuestion.ask(bootstrap, question, (partition, end) ->
          all.withArray("/" + partition).addArray().add(end.leaderEpoch()).add(end.endOffset()));
    }
    return all;
  }

  private JsonNode latestByMaxTimestamp(JsonNode request) throws Exception {
    ObjectNode all = Json.MAPPER.createObjectNode();
    Map<TopicPartition, OffsetSpec> question = new HashMap<>();
    partitionsOf(request.get("partitions")).forEach(each -> question.put(each, OffsetSpec.maxTimestamp()));
    wait(admin.listOffsets(question).all()).forEach((partition, found) ->
        all.putObject(partition.toString()).put("offset", found.offset()).put("timestamp", found.timestamp()));
    return all;
  }

  /** Of each partition the producers that are known, as [id, epoch, last sequence], by rising id. */
  private JsonNode producers(JsonNode request) throws Exception {
    ObjectNode all = Json.MAPPER.createObjectNode();
    wait(admin.describeProducers(partitionsOf(request.get("partitions"))).all()).forEach((partition, known) -> {
      ArrayNode list = all.putArray(partition.toString());
      known.activeProducers().stream()
          .sorted(Comparator.comparing(ProducerState::producerId))
          .forEach(each -> list.addArray().add(each.producerId()).add(each.producerEpoch()).add(each.lastSequence()));
    });
    return all;
  }

  // ------------------------------------------------------------------------------------------------------------------- writing

  static Map<String, Object> producerSettings(String bootstrap, JsonNode own) {
    Map<String, Object> settings = new HashMap<>();
    settings.put("bootstrap.servers", bootstrap);
    settings.put("key.serializer", ByteArraySerializer.class);
    settings.put("value.serializer", ByteArraySerializer.class);
    settings.put("acks", "all");
    settings.put("linger.ms", 2);
    settings.put("request.timeout.ms", 10_000);
    settings.put("delivery.timeout.ms", 20_000);
    settings.put("max.block.ms", 10_000);
    settings.putAll(Json.strings(own));
    return settings;
  }

  private KafkaProducer<byte[], byte[]> producer(JsonNode settings) {
    return producers.computeIfAbsent(settings, each -> new KafkaProducer<>(producerSettings(bootstrap, each)));
  }

  /** Sends records to a partition in their order, and answers with [offset, timestamp] of each. */
  private ArrayNode send(KafkaProducer<byte[], byte[]> producer, JsonNode request) throws Exception {
    TopicPartition to = Json.partition(request.get("partition").asText());
    List<Future<RecordMetadata>> sent = new ArrayList<>();
    for (JsonNode record : request.get("records")) sent.add(producer.send(Json.toSend(to, record)));
    producer.flush();
    ArrayNode answers = Json.MAPPER.createArrayNode();
    for (Future<RecordMetadata> each : sent) {
      RecordMetadata metadata = wait(each);
      answers.addArray().add(metadata.offset()).add(metadata.timestamp());
    }
    return answers;
  }

  private JsonNode produce(JsonNode request) throws Exception {
    return send(producer(request.get("settings")), request);
  }

  /** The settings name the transactional id; a transaction whose "end" is neither "commit" nor "abort" stays open. */
  private JsonNode transaction(JsonNode request) throws Exception {
    boolean isNew = !producers.containsKey(request.get("settings"));
    KafkaProducer<byte[], byte[]> producer = producer(request.get("settings"));
    if (isNew) producer.initTransactions();
    producer.beginTransaction();
    ArrayNode answers = send(producer, request);
    String end = request.get("end").asText();
    if (end.equals("commit")) producer.commitTransaction();
    if (end.equals("abort")) producer.abortTransaction();
    return answers;
  }

  private JsonNode startStorm(JsonNode request) throws Exception {
    storm = new Storm(bootstrap, request.get("writers"), request.get("until").asInt());
    storm.await();
    return null;
  }

  // -------------------------------------------------------------------------------------------------------------------- groups

  /** What every group has committed, by partition. */
  private JsonNode groupOffsets() throws Exception {
    Map<String, ListConsumerGroupOffsetsSpec> question = new TreeMap<>();
    wait(admin.listGroups().all()).forEach(group -> question.put(group.groupId(), new ListConsumerGroupOffsetsSpec()));
    ObjectNode all = Json.MAPPER.createObjectNode();
    if (question.isEmpty()) return all;
    wait(admin.listConsumerGroupOffsets(question).all()).forEach((group, offsets) -> {
      ObjectNode node = all.putObject(group);
      offsets.forEach((partition, committed) ->
          node.putObject(partition.toString())
              .put("offset", committed.offset())
              .put("metadata", committed.metadata())
              .put("leaderEpoch", committed.leaderEpoch().orElse(-1)));
    });
    return all;
  }

  /** {"group": …, "offsets": {partition: {offset, metadata, leaderEpoch}}}. */
  private JsonNode commit(JsonNode request) throws Exception {
    Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
    for (var entry : request.get("offsets").properties()) {
      JsonNode to = entry.getValue();
      int epoch = to.get("leaderEpoch").asInt();
      Optional<Integer> leaderEpoch = epoch < 0 ? Optional.empty() : Optional.of(epoch);
      OffsetAndMetadata committed = new OffsetAndMetadata(to.get("offset").asLong(), leaderEpoch, to.get("metadata").asText());
      offsets.put(Json.partition(entry.getKey()), committed);
    }
    wait(admin.alterConsumerGroupOffsets(request.get("group").asText(), offsets).all());
    return null;
  }

  /** Joins a group and reads from where it has committed. */
  private JsonNode readAsGroup(JsonNode request) {
    Map<String, Object> settings = new HashMap<>(Json.strings(request.get("settings")));
    settings.put("group.id", request.get("group").asText());
    settings.put("auto.offset.reset", "earliest");
    return Groups.read(consumer(settings), request, LONGEST);
  }
}
