import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;

/**
 * Producers that write as fast as they are answered, until they are stopped or the broker is gone. The value of a writer's record is
 * its number and as many x as {@code (number * 7919) % 500}.
 */
final class Storm {
  private static final int IN_FLIGHT = 500;

  private final List<Writer> writers = new ArrayList<>();
  private final CountDownLatch acknowledged;
  private volatile boolean stopped;

  /** {@code writers}: an array of partition and producer settings. */
  Storm(String bootstrap, JsonNode writers, int until) {
    acknowledged = new CountDownLatch(until);
    for (JsonNode writer : writers) {
      Map<String, Object> settings = Judge.producerSettings(bootstrap, writer.get("settings"));
      this.writers.add(new Writer(Json.partition(writer.get("partition").asText()), settings));
    }
    this.writers.forEach(Thread::start);
  }

  /** Waits until so many records are acknowledged. */
  void await() throws InterruptedException {
    if (!acknowledged.await(60, TimeUnit.SECONDS)) {
      throw new IllegalStateException(acknowledged.getCount() + " records were not acknowledged in time");
    }
  }

  /** Ends it, and answers by writer with [offset, number] of each record that was acknowledged. */
  ArrayNode stop() throws InterruptedException {
    stopped = true;
    ArrayNode all = Json.MAPPER.createArrayNode();
    for (Writer writer : writers) {
      writer.join(TimeUnit.SECONDS.toMillis(20));
      ObjectNode node = all.addObject();
      node.put("partition", writer.to.toString());
      synchronized (writer.acknowledgements) {
        ArrayNode list = node.putArray("acknowledged");
        for (long[] each : writer.acknowledgements) list.addArray().add(each[0]).add(each[1]);
      }
    }
    return all;
  }

  private final class Writer extends Thread {
    final TopicPartition to;
    final List<long[]> acknowledgements = new ArrayList<>();
    private final Map<String, Object> settings;

    Writer(TopicPartition to, Map<String, Object> settings) {
      super("writer of " + to);
      setDaemon(true);
      this.to = to;
      this.settings = settings;
    }

    @Override
    public void run() {
      KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(settings);
      Semaphore room = new Semaphore(IN_FLIGHT);
      try {
        for (long number = 0; !stopped; number += 1) {
          if (!room.tryAcquire(100, TimeUnit.MILLISECONDS)) {
            number -= 1;
            continue;
          }
          send(producer, room, number);
        }
      } catch (InterruptedException | RuntimeException e) {
        // The broker is gone: what was acknowledged before is what matters.
      } finally {
        producer.close(Duration.ZERO);
      }
    }

    private void send(KafkaProducer<byte[], byte[]> producer, Semaphore room, long number) {
      String value = number + "x".repeat((int) ((number * 7919) % 500));
      byte[] key = Long.toString(number).getBytes(StandardCharsets.UTF_8);
      producer.send(
          new ProducerRecord<>(to.topic(), to.partition(), key, value.getBytes(StandardCharsets.UTF_8)),
          (metadata, error) -> {
            room.release();
            if (error != null) return;
            synchronized (acknowledgements) {
              acknowledgements.add(new long[] {metadata.offset(), number});
            }
            acknowledged.countDown();
          });
    }
  }
}
