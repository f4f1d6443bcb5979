import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;
import org.agrona.concurrent.UnsafeBuffer;
import org.agrona.sbe.MessageDecoderFlyweight;

/**
 * Decoders that the reference SBE tool generated (the classes feeder.NAMEDecoder): lines of hex (an SBE message from its
 * header on) come in, what the decoder makes a text of goes out.
 *
 * java -cp sbe-all.jar:CLASSES Generated.java NAME...
 */
public class Generated
{
    private static final int HEADER = 8;

    public static void main(final String[] names) throws Exception
    {
        final Map<Integer, MessageDecoderFlyweight> decoders = new HashMap<>();
        for (final String name : names)
        {
            final Class<?> generated = Class.forName("feeder." + name + "Decoder");
            final Object decoder = generated.getDeclaredConstructor().newInstance();
            final MessageDecoderFlyweight flyweight = (MessageDecoderFlyweight)decoder;
            decoders.put(flyweight.sbeTemplateId(), flyweight);
        }
        final BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        final PrintStream print = new PrintStream(System.out, false, StandardCharsets.US_ASCII);
        for (String line = lines.readLine(); line != null; line = lines.readLine())
        {
            final UnsafeBuffer buffer = new UnsafeBuffer(HexFormat.of().parseHex(line));
            final int blockLength = buffer.getShort(0) & 0xFFFF;
            final int templateId = buffer.getShort(2) & 0xFFFF;
            final int version = buffer.getShort(6) & 0xFFFF;
            print.println(decoders.get(templateId).wrap(buffer, HEADER, blockLength, version));
        }
        print.flush();
    }
}
