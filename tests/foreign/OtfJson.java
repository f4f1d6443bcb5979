import java.io.BufferedReader;
import java.io.FileInputStream;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.List;
import org.agrona.DirectBuffer;
import org.agrona.concurrent.UnsafeBuffer;
import uk.co.real_logic.sbe.PrimitiveType;
import uk.co.real_logic.sbe.ir.Encoding;
import uk.co.real_logic.sbe.ir.Ir;
import uk.co.real_logic.sbe.ir.Token;
import uk.co.real_logic.sbe.otf.AbstractTokenListener;
import uk.co.real_logic.sbe.otf.OtfHeaderDecoder;
import uk.co.real_logic.sbe.otf.OtfMessageDecoder;
import uk.co.real_logic.sbe.otf.Types;
import uk.co.real_logic.sbe.xml.IrGenerator;
import uk.co.real_logic.sbe.xml.MessageSchema;
import uk.co.real_logic.sbe.xml.ParserOptions;
import uk.co.real_logic.sbe.xml.XmlSchemaParser;

/**
 * The reference SBE tool's own decoder, driven by a schema at run time: lines of hex (an SBE message from its header
 * on) come in, lines of JSON go out: {"template": name or null, "values": {...}}.
 *
 * java -cp sbe-all.jar OtfJson.java SCHEMA.xml
 */
public class OtfJson extends AbstractTokenListener
{
    private StringBuilder out;

    public static void main(final String[] args) throws Exception
    {
        final ParserOptions options = ParserOptions.builder().stopOnError(true).warningsFatal(true).build();
        final MessageSchema schema;
        try (InputStream in = new FileInputStream(args[0]))
        {
            schema = XmlSchemaParser.parse(in, options);
        }
        final Ir ir = new IrGenerator().generate(schema);
        final OtfHeaderDecoder header = new OtfHeaderDecoder(ir.headerStructure());
        final BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        final PrintStream print = new PrintStream(System.out, false, StandardCharsets.US_ASCII);
        final OtfJson json = new OtfJson();
        for (String line = lines.readLine(); line != null; line = lines.readLine())
        {
            print.println(json.decode(new UnsafeBuffer(HexFormat.of().parseHex(line)), header, ir));
        }
        print.flush();
    }

    private String decode(final DirectBuffer buffer, final OtfHeaderDecoder header, final Ir ir)
    {
        if (header.getSchemaId(buffer, 0) != ir.id())
        {
            throw new IllegalArgumentException("schema " + header.getSchemaId(buffer, 0));
        }
        final List<Token> tokens = ir.getMessage(header.getTemplateId(buffer, 0));
        if (tokens == null)
        {
            return "{\"template\": null}";
        }
        out = new StringBuilder("{\"template\": \"" + tokens.get(0).name() + "\", \"values\": {");
        OtfMessageDecoder.decode(
            buffer,
            header.encodedLength(),
            header.getSchemaVersion(buffer, 0),
            header.getBlockLength(buffer, 0),
            tokens,
            this);
        return out.append("}}").toString();
    }

    @Override
    public void onEncoding(
        final Token field, final DirectBuffer buffer, final int index, final Token type, final int actingVersion)
    {
        final Encoding encoding = type.encoding();
        if (field.version() > actingVersion)
        {
            property(field.name(), "null");
        }
        else if (encoding.primitiveType() == PrimitiveType.CHAR)
        {
            final byte[] text = new byte[type.arrayLength()];
            buffer.getBytes(index, text);
            property(field.name(), quoted(new String(text, StandardCharsets.US_ASCII).replaceFirst("\0+$", "")));
        }
        else
        {
            final long value = Types.getLong(buffer, index, encoding);
            final boolean isNull = type.isOptionalEncoding() && value == encoding.applicableNullValue().longValue();
            final boolean unsigned = encoding.primitiveType() == PrimitiveType.UINT64;
            final String text = unsigned ? Long.toUnsignedString(value) : Long.toString(value);
            property(field.name(), isNull ? "null" : text);
        }
    }

    @Override
    public void onEnum(
        final Token field,
        final DirectBuffer buffer,
        final int index,
        final List<Token> tokens,
        final int from,
        final int to,
        final int actingVersion)
    {
        final long value = Types.getLong(buffer, index, tokens.get(from).encoding());
        String name = Long.toString(value);
        for (int i = from + 1; i < to; i++)
        {
            if (tokens.get(i).encoding().constValue().longValue() == value)
            {
                name = quoted(tokens.get(i).name());
            }
        }
        property(field.name(), field.version() > actingVersion ? "null" : name);
    }

    @Override
    public void onGroupHeader(final Token group, final int count)
    {
        property(group.name(), count == 0 ? "[]" : "[");
    }

    @Override
    public void onBeginGroup(final Token group, final int index, final int count)
    {
        out.append(index == 0 ? "{" : ", {");
    }

    @Override
    public void onEndGroup(final Token group, final int index, final int count)
    {
        out.append(index == count - 1 ? "}]" : "}");
    }

    private void property(final String name, final String json)
    {
        if (out.charAt(out.length() - 1) != '{')
        {
            out.append(", ");
        }
        out.append(quoted(name)).append(": ").append(json);
    }

    private static String quoted(final String text)
    {
        return '"' + text.replace("\\", "\\\\").replace("\"", "\\\"") + '"';
    }
}
