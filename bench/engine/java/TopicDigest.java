import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.HexFormat;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Reads partition 0 of topics to their ends as a foreign consumer would (read_committed, every CRC checked), and prints one
 * line each: topic, records, SHA-256 over key, value and headers of every record in order.
 *
 *     java TopicDigest brokers topic…
 */
public class TopicDigest {
  public static void main(String[] args) throws Exception {
    Properties settings = new Properties();
    settings.put(ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, args[0]);
    settings.put(ConsumerConfig.ISOLATION_LEVEL_CONFIG, "read_committed");
    settings.put(ConsumerConfig.CHECK_CRCS_CONFIG, "true");
    var bytes = new ByteArrayDeserializer();
    try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(settings, bytes, bytes)) {
      for (int n = 1; n < args.length; n++) System.out.println(args[n] + " " + digest(consumer, args[n]));
    }
  }

  static String digest(KafkaConsumer<byte[], byte[]> consumer, String topic) throws Exception {
    TopicPartition partition = new TopicPartition(topic, 0);
    consumer.assign(List.of(partition));
    consumer.seekToBeginning(List.of(partition));
    long end = consumer.endOffsets(List.of(partition)).get(partition);
    MessageDigest sha = MessageDigest.getInstance("SHA-256");
    long records = 0;
    while (consumer.position(partition) < end) {
      for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(500))) {
        records++;
        add(sha, record.key());
        add(sha, record.value());
        for (Header header : record.headers()) {
          add(sha, header.key().getBytes(StandardCharsets.UTF_8));
          add(sha, header.value());
        }
      }
    }
    return records + " " + HexFormat.of().formatHex(sha.digest());
  }

  /** With its length before it, so that two fields cannot pass for one. */
  static void add(MessageDigest sha, byte[] field) {
    sha.update(ByteBuffer.allocate(4).putInt(field == null ? -1 : field.length).array());
    if (field != null) sha.update(field);
  }
}
