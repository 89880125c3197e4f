import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.Map;
import java.util.Properties;
import java.util.UUID;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;
import org.apache.kafka.common.header.internals.RecordHeaders;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.processor.api.RecordMetadata;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/**
 * The fold of ../fold.ts as a Kafka Streams application, written to be fast: an in-memory store whose changelog gets every
 * change (the Processor API's default, no cache), Avro readers, writers and buffers reused, one thread.
 *
 *     java StreamsFold brokers name input output envelope|plain clockMs source commitIntervalMs schemas stateDir
 *
 * `name` goes into the ids of what is written, as the engine's processor name does; the consumer group is called otherwise.
 * `schemas` is a file with the three schemas, one a line; their ids are 1 (event), 2 (state), 3 (output).
 */
public class StreamsFold {
  static final String EVENT_NAME = "bench.SegmentServed";
  static final String OUTPUT_NAME = "bench.TrafficCounted";

  /** Avro in the Confluent wire format, for one schema and one thread. */
  static class Codec {
    private final byte[] prefix;
    private final GenericDatumReader<GenericRecord> reader;
    private final GenericDatumWriter<GenericRecord> writer;
    private final ByteArrayOutputStream bytes = new ByteArrayOutputStream(512);
    private BinaryEncoder encoder;
    private BinaryDecoder decoder;

    Codec(int id, Schema schema) {
      prefix = ByteBuffer.allocate(5).put((byte) 0).putInt(id).array();
      reader = new GenericDatumReader<>(schema);
      writer = new GenericDatumWriter<>(schema);
    }

    byte[] encode(GenericRecord value) {
      try {
        bytes.reset();
        bytes.write(prefix);
        encoder = EncoderFactory.get().directBinaryEncoder(bytes, encoder);
        writer.write(value, encoder);
        encoder.flush();
        return bytes.toByteArray();
      } catch (IOException error) {
        throw new UncheckedIOException(error);
      }
    }

    GenericRecord decode(byte[] value) {
      try {
        decoder = DecoderFactory.get().binaryDecoder(value, 5, value.length - 5, decoder);
        return reader.read(null, decoder);
      } catch (IOException error) {
        throw new UncheckedIOException(error);
      }
    }
  }

  /** Name-based UUIDs (RFC 9562, version 5), as the engine derives the ids of what it emits. */
  static class Ids {
    private static final UUID ROOT = UUID.fromString("5a1e3c0e-6a5c-5d0b-9f5e-7a0c7a8c9a11");
    private final byte[] root =
        ByteBuffer.allocate(16).putLong(ROOT.getMostSignificantBits()).putLong(ROOT.getLeastSignificantBits()).array();
    private final MessageDigest sha1;

    Ids() {
      try {
        sha1 = MessageDigest.getInstance("SHA-1");
      } catch (NoSuchAlgorithmException error) {
        throw new IllegalStateException(error);
      }
    }

    String derive(String name) {
      sha1.update(root);
      ByteBuffer hash = ByteBuffer.wrap(sha1.digest(utf8(name)));
      long high = (hash.getLong() & 0xffffffffffff0fffL) | 0x5000L;
      long low = (hash.getLong() & 0x3fffffffffffffffL) | 0x8000000000000000L;
      return new UUID(high, low).toString();
    }
  }

  static final DateTimeFormatter ISO_MILLIS =
      DateTimeFormatter.ofPattern("yyyy-MM-dd'T'HH:mm:ss.SSS'Z'").withZone(ZoneOffset.UTC);

  static class Fold implements Processor<String, byte[], String, byte[]> {
    private final Codec events;
    private final Codec states;
    private final Codec outputs;
    private final Schema state;
    private final Schema output;
    private final boolean envelope;
    private final String name;
    private final Ids ids = new Ids();
    private final byte[] source;
    private final byte[] time;
    private final byte[] version = utf8("1.0");
    private final byte[] type = utf8(OUTPUT_NAME);
    private final byte[] contentType = utf8("application/vnd.confluent.avro");
    private ProcessorContext<String, byte[]> context;
    private KeyValueStore<String, byte[]> store;

    Fold(Schema[] schemas, String name, boolean envelope, long clockMs, String source) {
      events = new Codec(1, schemas[0]);
      states = new Codec(2, schemas[1]);
      outputs = new Codec(3, schemas[2]);
      state = schemas[1];
      output = schemas[2];
      this.name = name;
      this.envelope = envelope;
      this.source = utf8(source);
      time = utf8(ISO_MILLIS.format(Instant.ofEpochMilli(clockMs)));
    }

    @Override
    public void init(ProcessorContext<String, byte[]> context) {
      this.context = context;
      store = context.getStateStore("traffic");
    }

    @Override
    public void process(Record<String, byte[]> record) {
      if (envelope && !EVENT_NAME.equals(text(record.headers().lastHeader("ce_type").value()))) return;
      GenericRecord event = events.decode(record.value());
      byte[] before = store.get(record.key());
      GenericRecord traffic = before == null ? empty(record.key()) : states.decode(before);
      long count = (Long) traffic.get("count") + 1;
      long bytes = (Long) traffic.get("bytes") + (Long) event.get("bytes");
      traffic.put("count", count);
      traffic.put("bytes", bytes);
      traffic.put("lastSeq", event.get("seq"));
      store.put(record.key(), states.encode(traffic));

      GenericRecord counted = new GenericData.Record(output);
      counted.put("id", event.get("id"));
      counted.put("videoId", record.key());
      counted.put("count", count);
      counted.put("atMs", event.get("atMs"));
      counted.put("kind", "counted");
      counted.put("bytes", bytes);
      counted.put("note", event.get("note"));
      Record<String, byte[]> out = record.withValue(outputs.encode(counted));
      context.forward(out.withHeaders(envelope ? envelopeOf(record) : new RecordHeaders()));
    }

    private GenericRecord empty(String key) {
      GenericRecord traffic = new GenericData.Record(state);
      traffic.put("videoId", key);
      traffic.put("count", 0L);
      traffic.put("bytes", 0L);
      traffic.put("lastSeq", 0L);
      return traffic;
    }

    private RecordHeaders envelopeOf(Record<String, byte[]> cause) {
      RecordMetadata at = context.recordMetadata().orElseThrow();
      String identity = at.topic() + "/" + at.partition() + "/" + at.offset() + "@" + cause.timestamp();
      RecordHeaders headers = new RecordHeaders();
      headers.add("ce_specversion", version);
      headers.add("content-type", contentType);
      headers.add("ce_source", source);
      headers.add("ce_type", type);
      headers.add("ce_time", time);
      headers.add("ce_id", utf8(ids.derive(name + "\u001f" + identity + "\u001f" + OUTPUT_NAME + "\u001f0")));
      headers.add("causationid", cause.headers().lastHeader("ce_id").value());
      return headers;
    }
  }

  public static void main(String[] args) throws Exception {
    String brokers = args[0], name = args[1], input = args[2], output = args[3], source = args[6];
    boolean envelope = args[4].equals("envelope");
    long clockMs = Long.parseLong(args[5]);
    Schema[] schemas = Files.readAllLines(Path.of(args[8])).stream()
        .map(line -> new Schema.Parser().parse(line)).toArray(Schema[]::new);

    Properties settings = new Properties();
    settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, brokers);
    settings.put(StreamsConfig.APPLICATION_ID_CONFIG, name + "-streams");
    settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
    settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, args[7]);
    settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
    settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
    settings.put(StreamsConfig.STATE_DIR_CONFIG, args[9]);
    settings.put(StreamsConfig.producerPrefix("linger.ms"), System.getProperty("linger", "100"));
    settings.put(StreamsConfig.producerPrefix("batch.size"), System.getProperty("batch", "16384"));
    settings.put("auto.offset.reset", "earliest");

    Topology topology = new Topology();
    topology.addSource("source", new StringDeserializer(), new ByteArrayDeserializer(), input);
    topology.addProcessor("fold", () -> new Fold(schemas, name, envelope, clockMs, source), "source");
    topology.addStateStore(
        Stores.keyValueStoreBuilder(Stores.inMemoryKeyValueStore("traffic"), Serdes.String(), Serdes.ByteArray())
            .withLoggingEnabled(Map.of())
            .withCachingDisabled(),
        "fold");
    topology.addSink("sink", output, new StringSerializer(), new ByteArraySerializer(), "fold");

    KafkaStreams streams = new KafkaStreams(topology, settings);
    streams.setUncaughtExceptionHandler(error -> {
      error.printStackTrace();
      return org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
    });
    Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(Duration.ofSeconds(10))));
    streams.start();
    Thread.currentThread().join();
  }

  static byte[] utf8(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  static String text(byte[] bytes) {
    return new String(bytes, StandardCharsets.UTF_8);
  }
}
