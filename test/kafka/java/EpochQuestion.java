import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.util.Map;
import java.util.function.BiConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.message.OffsetForLeaderEpochRequestData;
import org.apache.kafka.common.message.OffsetForLeaderEpochRequestData.OffsetForLeaderPartition;
import org.apache.kafka.common.message.OffsetForLeaderEpochRequestData.OffsetForLeaderTopic;
import org.apache.kafka.common.message.OffsetForLeaderEpochResponseData;
import org.apache.kafka.common.message.OffsetForLeaderEpochResponseData.EpochEndOffset;
import org.apache.kafka.common.message.RequestHeaderData;
import org.apache.kafka.common.message.ResponseHeaderData;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.MessageUtil;

/** OffsetsForLeaderEpoch, which Kafka's clients ask for themselves alone: sent as it is, over a connection of its own. */
final class EpochQuestion {
  private static final short API_KEY = 23;
  private static final short VERSION = 4;
  private static final short REQUEST_HEADER_VERSION = 2;
  private static final short RESPONSE_HEADER_VERSION = 1;
  private static final int TIMEOUT_MS = 20_000;

  private EpochQuestion() {}

  /** One epoch of each partition; {@code answer} is called for each. */
  static void ask(String bootstrap, Map<TopicPartition, Integer> epochs, BiConsumer<TopicPartition, EpochEndOffset> answer)
      throws IOException {
    String[] address = bootstrap.split(":");
    try (Socket socket = new Socket(address[0], Integer.parseInt(address[1]))) {
      socket.setSoTimeout(TIMEOUT_MS);
      send(new DataOutputStream(socket.getOutputStream()), requestFor(epochs));
      for (var topic : receive(new DataInputStream(socket.getInputStream())).topics()) {
        for (EpochEndOffset each : topic.partitions()) {
          Errors.forCode(each.errorCode()).maybeThrow();
          answer.accept(new TopicPartition(topic.topic(), each.partition()), each);
        }
      }
    }
  }

  private static OffsetForLeaderEpochRequestData requestFor(Map<TopicPartition, Integer> epochs) {
    OffsetForLeaderEpochRequestData request = new OffsetForLeaderEpochRequestData();
    epochs.forEach((partition, epoch) -> {
      OffsetForLeaderTopic topic = request.topics().find(partition.topic());
      if (topic == null) {
        topic = new OffsetForLeaderTopic().setTopic(partition.topic());
        request.topics().add(topic);
      }
      topic.partitions().add(new OffsetForLeaderPartition().setPartition(partition.partition()).setLeaderEpoch(epoch));
    });
    return request;
  }

  private static void send(DataOutputStream out, Message request) throws IOException {
    RequestHeaderData header = new RequestHeaderData().setRequestApiKey(API_KEY).setRequestApiVersion(VERSION).setClientId("judge");
    ByteBuffer head = MessageUtil.toByteBufferAccessor(header, REQUEST_HEADER_VERSION).buffer();
    ByteBuffer body = MessageUtil.toByteBufferAccessor(request, VERSION).buffer();
    out.writeInt(head.remaining() + body.remaining());
    out.write(head.array(), head.arrayOffset() + head.position(), head.remaining());
    out.write(body.array(), body.arrayOffset() + body.position(), body.remaining());
    out.flush();
  }

  private static OffsetForLeaderEpochResponseData receive(DataInputStream in) throws IOException {
    byte[] bytes = new byte[in.readInt()];
    in.readFully(bytes);
    ByteBufferAccessor accessor = new ByteBufferAccessor(ByteBuffer.wrap(bytes));
    new ResponseHeaderData(accessor, RESPONSE_HEADER_VERSION);
    return new OffsetForLeaderEpochResponseData(accessor, VERSION);
  }
}
