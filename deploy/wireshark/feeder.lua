-- Wireshark dissector for feeder's packets, as PROTOCOL.md and feeder/wire/schema.xml (version 3) have them.
--
-- Copy it to Wireshark's folder of personal Lua plugins (Help, About, Folders), or say
--     tshark -X lua_script:deploy/wireshark/feeder.lua -i lo
-- Packets are known by their UDP ports (a preference, 20000-20255: 16 partitions from the usual base port), and on any
-- other port by their first bytes. Names of fields to filter by:
--     feeder.packet.*   the packet's header         feeder.packet.sequence, feeder.packet.flags.heartbeat
--     feeder.frame.*    in front of each message    feeder.frame.instrumentId, feeder.frame.sequence, feeder.frame.template
--     feeder.*          a message's fields by the schema's names: feeder.price, feeder.status == 3

local feeder = Proto("feeder", "feeder market data")

local SCHEMA_VERSION = 3
local PROTOCOL_ID = 0x4642
local HEADER_LENGTH = 32
local FRAME_LENGTH = 16 -- prefix and SBE header
local NULL_MANTISSA = "-9223372036854775808"
local SECOND = UInt64(1000000000)

local KINDS = { [0] = "books", "trades", "bbo", "snapshots", "definitions", "retransmit" }

local ENUMS = {
    Category = { "SPOT", "LINEAR", "INVERSE", "OPTION" },
    TradingStatus = { "TRADING", "PRELAUNCH", "DELIVERING", "CLOSED" },
    BookStatus = { "SYNCING", "LIVE", "STALE", "DELISTED" },
    StatusReason = {
        [0] = "NONE", "SUBSCRIBED", "SNAPSHOT", "DISCONNECTED", "GAP", "CROSSED", "OVERFLOW", "MALFORMED", "SCALE",
        "REFUSED", "NO_SNAPSHOT", "REQUESTED", "DELISTED", "OUTDATED", "UNSUBSCRIBED",
    },
    AggressorSide = { "BUY", "SELL" },
    ChannelKind = { [0] = "BOOKS", "TRADES", "BBO", "SNAPSHOTS", "DEFINITIONS", "RETRANSMIT" },
    RejectReason = { "TOO_OLD", "NOT_SENT", "OTHER_SESSION", "RATE", "NOT_HELD" },
}

-- Types of a message's fields: bytes, and how Wireshark holds them. Prices and quantities are integers whose decimal
-- exponents stand beside them.
local TYPES = {
    u8 = { 1, ProtoField.uint8 },
    u16 = { 2, ProtoField.uint16 },
    u32 = { 4, ProtoField.uint32 },
    u64 = { 8, ProtoField.uint64 },
    i8 = { 1, ProtoField.int8 },
    crc = { 4, ProtoField.uint32, base.HEX },
    price = { 8, ProtoField.int64 },
    quantity = { 8, ProtoField.int64 },
    time = { 8, ProtoField.uint64 },
    duration = { 8, ProtoField.uint64 },
    channel = { 2, ProtoField.uint16 },
    text8 = { 8, ProtoField.string },
    text16 = { 16, ProtoField.string },
    text32 = { 32, ProtoField.string },
    text40 = { 40, ProtoField.string },
    pad8 = { 1 },
    pad16 = { 2 },
    pad32 = { 4 },
}
for name, values in pairs(ENUMS) do
    TYPES[name] = { 1, ProtoField.uint8, base.DEC, values }
end

local TIMES = "venueMatchTime time, venueSendTime time, receiveTime time"
local EXPONENTS = "priceExponent i8, quantityExponent i8"
local LEVEL = "price price, quantity quantity"

-- "name type" of each field in its place, as in schema.xml; { name, root, group's name, group's entry }.
local TEMPLATES = {
    [1] = { "InstrumentDefinition", "symbol text32, tickSize price, quantityStep quantity, definitionVersion u32, "
        .. "category Category, " .. EXPONENTS .. ", status TradingStatus" },
    [2] = { "InstrumentStatus", "instrumentSequence u64, status BookStatus, reason StatusReason, pad1 pad16, pad2 pad32" },
    [10] = { "BookDelta", "instrumentSequence u64, venueUpdateId u64, venueSequence u64, " .. TIMES .. ", " .. EXPONENTS
        .. ", bidCount u16", "levels", LEVEL },
    [11] = { "BookClear", "instrumentSequence u64, reason StatusReason, pad1 pad8, pad2 pad16, pad3 pad32" },
    [12] = { "BookChecksum", "instrumentSequence u64, levels u32, checksum crc" },
    [13] = { "Bbo", "instrumentSequence u64, bidPrice price, bidQuantity quantity, askPrice price, askQuantity quantity, "
        .. TIMES .. ", " .. EXPONENTS .. ", status BookStatus, pad1 pad8, pad2 pad32" },
    [14] = { "Trade", "price price, quantity quantity, tradeSequence u64, bookSequence u64, venueSequence u64, " .. TIMES
        .. ", tradeId text40, " .. EXPONENTS .. ", aggressorSide AggressorSide, pad1 pad8, pad2 pad32" },
    [15] = { "TradesLost", "firstTradeSequence u64, lastTradeSequence u64, count u32, pad1 pad32" },
    [20] = { "SnapshotBegin", "instrumentSequence u64, booksSequence u64, venueUpdateId u64, venueSequence u64, " .. TIMES
        .. ", fragments u16, bidCount u16, askCount u16, status BookStatus, reason StatusReason, " .. EXPONENTS
        .. ", pad1 pad16, pad2 pad32" },
    [21] = { "SnapshotLevels", "instrumentSequence u64, fragment u16, bidCount u16", "levels", LEVEL },
    [22] = { "SnapshotEnd", "instrumentSequence u64, levels u32, checksum crc" },
    [23] = { "CycleEnd", "cycleTime duration, instruments u32, pad1 pad32" },
    [30] = { "RetransmitRequest", "firstSequence u64, count u32, channelId channel, pad1 pad16" },
    [31] = { "RetransmitReject", "firstSequence u64, oldestSequence u64, nextSequence u64, retryDelay duration, count u32, "
        .. "channelId channel, reason RejectReason, pad1 pad8" },
    [40] = { "ChannelInfo", "heartbeatInterval duration, cycleTime duration, ringSize u32, channelId channel, "
        .. "kind ChannelKind, partitions u8, pad1 pad32", "lines", "line text8, group text16, port u16, pad2 pad16, pad3 pad32" },
}

-- The same name for another enum needs another name to filter by.
local FILTERS = { TradingStatus = "tradingStatus", RejectReason = "rejectReason" }

local fields = {}

local function field(create, filter, name, ...)
    local made = create("feeder." .. filter, name, ...)
    fields[#fields + 1] = made
    return made
end

local message_fields = {}

-- The fields of a block: { name, type, size, offset, field }, and the block's size.
local function block(text)
    local found = { size = 0, at = {} }
    for name, kind in text:gmatch("(%w+) (%w+)") do
        local size, create, display, values = table.unpack(TYPES[kind])
        local filter = FILTERS[kind] or name
        if create and not message_fields[filter] then
            if display then
                message_fields[filter] = field(create, filter, name, display, values)
            else
                message_fields[filter] = field(create, filter, name)
            end
        end
        found[#found + 1] = { name = name, kind = kind, size = size, offset = found.size, field = message_fields[filter] }
        found.at[name] = found.size
        found.size = found.size + size
    end
    return found
end

local template_names = {}
for id, template in pairs(TEMPLATES) do
    TEMPLATES[id] = { name = template[1], root = block(template[2]), group = template[3], entry = block(template[4] or "") }
    template_names[id] = template[1]
end

local P = {
    protocol_id = field(ProtoField.uint16, "packet.protocolId", "protocolId", base.HEX),
    header_version = field(ProtoField.uint8, "packet.headerVersion", "headerVersion"),
    header_length = field(ProtoField.uint8, "packet.headerLength", "headerLength"),
    channel_id = field(ProtoField.uint16, "packet.channelId", "channelId"),
    partition = field(ProtoField.uint16, "packet.partition", "partition"),
    kind = field(ProtoField.uint16, "packet.kind", "kind", base.DEC, KINDS),
    flags = field(ProtoField.uint8, "packet.flags", "packetFlags", base.HEX),
    message_count = field(ProtoField.uint8, "packet.messageCount", "messageCount"),
    session_id = field(ProtoField.uint64, "packet.sessionId", "sessionId"),
    sequence = field(ProtoField.uint64, "packet.sequence", "sequence"),
    next_sequence = field(ProtoField.uint64, "packet.nextSequence", "next sequence"),
    sending_time = field(ProtoField.uint64, "packet.sendingTime", "sendingTime"),
    appended = field(ProtoField.bytes, "packet.appended", "of a later version"),
    rest = field(ProtoField.bytes, "packet.rest", "rest of the packet"),
}
local PACKET_FLAGS = {
    { 0x01, "incremental" }, { 0x02, "snapshot" }, { 0x04, "definition" }, { 0x08, "retransmit" },
    { 0x10, "heartbeat" }, { 0x20, "endOfSession" }, { 0x80, "test" },
}
for _, flag in ipairs(PACKET_FLAGS) do
    flag[3] = field(ProtoField.bool, "packet.flags." .. flag[2], flag[2], 8, nil, flag[1])
end

local M = {
    message = field(ProtoField.none, "message", "message"),
    length = field(ProtoField.uint16, "frame.length", "frameLength"),
    flags = field(ProtoField.uint8, "frame.eventFlags", "eventFlags", base.HEX),
    reserved = field(ProtoField.uint8, "frame.reserved", "reserved", base.HEX),
    instrument_id = field(ProtoField.uint32, "frame.instrumentId", "instrumentId"),
    instrument = field(ProtoField.string, "frame.instrument", "instrument"),
    sequence = field(ProtoField.uint64, "frame.sequence", "sequence"),
    block_length = field(ProtoField.uint16, "frame.blockLength", "blockLength"),
    template = field(ProtoField.uint16, "frame.template", "templateId", base.DEC, template_names),
    schema = field(ProtoField.uint16, "frame.schemaId", "schemaId"),
    version = field(ProtoField.uint16, "frame.version", "version"),
    group_block_length = field(ProtoField.uint16, "group.blockLength", "blockLength"),
    group_count = field(ProtoField.uint16, "group.numInGroup", "numInGroup"),
    entry = field(ProtoField.none, "entry", "entry"),
    appended = field(ProtoField.bytes, "appended", "of a later version"),
    unknown = field(ProtoField.bytes, "unknown", "of a template of a later version"),
    padding = field(ProtoField.bytes, "frame.padding", "padding"),
}
local EVENT_FLAGS = { { 0x01, "first" }, { 0x02, "last" }, { 0x04, "snapshot" }, { 0x08, "conflated" } }
for _, flag in ipairs(EVENT_FLAGS) do
    flag[3] = field(ProtoField.bool, "frame.eventFlags." .. flag[2], flag[2], 8, nil, flag[1])
end

feeder.fields = fields

local malformed = ProtoExpert.new(
    "feeder.malformed", "consumers refuse this packet", expert.group.MALFORMED, expert.severity.ERROR)
local impossible = ProtoExpert.new(
    "feeder.impossible", "a message that makes no sense", expert.group.MALFORMED, expert.severity.ERROR)
local cut = ProtoExpert.new("feeder.cut", "the capture cut this packet short", expert.group.UNDECODED, expert.severity.WARN)
local later = ProtoExpert.new("feeder.later", "of a later version", expert.group.UNDECODED, expert.severity.NOTE)
feeder.experts = { malformed, impossible, cut, later }

-- What earlier packets told of later ones: names of instruments by id, and each snapshot's exponents, which
-- SnapshotLevels do not repeat. The latter are kept by message for when it is shown again.
local names, scales, scale_of

local function forget()
    names, scales, scale_of = {}, {}, {}
end

forget()
feeder.init = forget

-- An integer's digits at a decimal exponent.
local function decimal(digits, exponent)
    local sign, number = digits:match("^(-?)(%d+)$")
    if exponent >= 0 then
        return digits .. (number == "0" and "" or string.rep("0", exponent))
    end
    number = string.rep("0", 1 - exponent - #number) .. number
    return sign .. number:sub(1, exponent - 1) .. "." .. number:sub(exponent)
end

-- A text up to its first NUL; what is no printable ASCII, which no sound message has, as an escape.
local function printable(raw)
    return (raw:match("^[^\0]*"):gsub("[^\32-\126]", function(byte)
        return string.format("\\x%02x", byte:byte())
    end))
end

local function time_text(value)
    local seconds, rest = (value / SECOND):tonumber(), (value % SECOND):tonumber()
    return os.date("!%Y-%m-%d %H:%M:%S", seconds) .. string.format(".%09d UTC", rest)
end

local function channel_text(id)
    return string.format("%s p%d", KINDS[id % 16] or ("kind " .. id % 16), math.floor(id / 16))
end

local function add_flags(tree, range, item_field, flags)
    local item = tree:add_le(item_field, range)
    local value, set = range:uint(), {}
    for _, flag in ipairs(flags) do
        item:add(flag[3], range)
        if bit.band(value, flag[1]) ~= 0 then
            set[#set + 1] = flag[2]
        end
    end
    item:append_text(#set > 0 and " (" .. table.concat(set, ", ") .. ")" or "")
    return value
end

-- The known fields of a block of `length` bytes. Returns their values as texts, by name.
local function add_block(tree, tvb, offset, length, known, scale)
    local values = {}
    for _, each in ipairs(known) do
        if each.offset + each.size <= length and each.field then
            local range = tvb(offset + each.offset, each.size)
            local kind, item, note = each.kind, nil, nil
            if kind:sub(1, 4) == "text" then
                values[each.name] = printable(range:raw())
                item = tree:add(each.field, range, values[each.name])
            else
                item = tree:add_le(each.field, range)
                if kind == "price" or kind == "quantity" then
                    local digits = tostring(range:le_int64())
                    local exponent = scale and scale[kind]
                    values[each.name] = exponent and decimal(digits, exponent) or digits
                    if digits == NULL_MANTISSA and each.name ~= kind then
                        note, values[each.name] = "null", "-"
                    elseif exponent then
                        note = values[each.name]
                    end
                elseif kind == "time" then
                    note = time_text(range:le_uint64())
                elseif kind == "duration" then
                    values[each.name] = decimal(tostring(range:le_uint64()), -9)
                    note = values[each.name] .. " s"
                elseif kind == "channel" then
                    values[each.name] = channel_text(range:le_uint())
                    note = values[each.name]
                elseif ENUMS[kind] then
                    values[each.name] = ENUMS[kind][range:uint()] or "unknown"
                elseif each.size == 8 then
                    values[each.name] = tostring(range:le_uint64())
                else
                    values[each.name] = tostring(kind == "i8" and range:le_int() or range:le_uint())
                end
            end
            if note then
                item:append_text(" (" .. note .. ")")
            end
        end
    end
    if length > known.size then
        tree:add(M.appended, tvb(offset + known.size, length - known.size))
    end
    return values
end

-- Whose exponents count for the prices of a message: its own, for SnapshotLevels those of its SnapshotBegin.
local function find_scale(tvb, pinfo, packet, frame, known)
    local root, length = frame.offset + FRAME_LENGTH, frame.block_length
    local price, quantity = known.root.at.priceExponent, known.root.at.quantityExponent
    local snapshot = packet.session .. ":" .. packet.channel .. ":" .. frame.instrument
    local message = pinfo.number .. ":" .. frame.offset
    if price and quantity < length then
        local scale = { price = tvb(root + price, 1):le_int(), quantity = tvb(root + quantity, 1):le_int() }
        if known.name == "SnapshotBegin" and not pinfo.visited then
            scales[snapshot] = scale
        end
        return scale
    elseif known.name == "SnapshotLevels" then
        if not pinfo.visited then
            scale_of[message] = scales[snapshot]
        end
        return scale_of[message]
    end
    return nil
end

local function level_text(known, index, bids, values)
    local size = values.quantity:match("[1-9]") and values.quantity or "removed"
    if known.name ~= "BookDelta" then
        size = values.quantity
    end
    return string.format("%s %s: %s", index < bids and "bid" or "ask", values.price, size)
end

-- The group behind a root. Returns the offset behind it, or nil and what is wrong.
local function add_group(tree, tvb, offset, stop, known, scale, bids)
    if offset + 4 > stop then
        return nil, "no room for the group's dimension"
    end
    local size, count = tvb(offset, 2):le_uint(), tvb(offset + 2, 2):le_uint()
    local group = tree:add(tvb(offset, math.min(4 + size * count, stop - offset)), string.format("%s: %d", known.group, count))
    group:add_le(M.group_block_length, tvb(offset, 2))
    group:add_le(M.group_count, tvb(offset + 2, 2))
    offset = offset + 4
    if size < known.entry.size or offset + size * count > stop then
        return nil, string.format("%d entries of %d bytes in %d", count, size, stop - offset)
    end
    if bids > count then
        return nil, string.format("%d bids of %d levels", bids, count)
    end
    for index = 0, count - 1 do
        local entry = group:add(M.entry, tvb(offset, size))
        local values = add_block(entry, tvb, offset, size, known.entry, scale)
        if known.group == "levels" then
            entry:set_text(level_text(known, index, bids, values))
        else
            entry:set_text(string.format("%s: %s:%s", values.line, values.group, values.port))
        end
        offset = offset + size
    end
    return offset
end

-- What a message says, in a line's few words.
local function summary(known, values, count)
    local name = known.name
    if name == "InstrumentDefinition" then
        return values.category:lower() .. ":" .. values.symbol
    elseif name == "InstrumentStatus" then
        return values.status .. " " .. values.reason
    elseif name == "BookDelta" or name == "SnapshotLevels" then
        return count == 1 and "1 level" or count .. " levels"
    elseif name == "BookClear" then
        return values.reason
    elseif name == "Bbo" then
        return string.format("%s %s / %s %s", values.bidQuantity, values.bidPrice, values.askPrice, values.askQuantity)
    elseif name == "Trade" then
        return string.format("%s %s at %s", values.aggressorSide, values.quantity, values.price)
    elseif name == "SnapshotBegin" then
        return string.format("%s, %s bids, %s asks", values.status, values.bidCount, values.askCount)
    elseif name == "RetransmitRequest" then
        return string.format("%s from %s, %s messages", values.channelId, values.firstSequence, values.count)
    elseif name == "RetransmitReject" then
        return string.format(
            "%s, %s from %s, %s messages; held %s to before %s, retry after %s s", values.reason, values.channelId,
            values.firstSequence, values.count, values.oldestSequence, values.nextSequence, values.retryDelay)
    elseif name == "ChannelInfo" then
        return values.channelId
    end
    return nil
end

-- One message whose framing is sound. Returns its template's name, and what to show of it if it comes alone.
local function add_message(tree, tvb, pinfo, packet, frame)
    local offset, stop = frame.offset, frame.offset + frame.length
    local known = TEMPLATES[frame.template]
    local name = known and known.name or ("template " .. frame.template)
    local item = tree:add(M.message, tvb(offset, frame.length))
    item:add_le(M.length, tvb(offset, 2))
    add_flags(item, tvb(offset + 2, 1), M.flags, EVENT_FLAGS)
    item:add_le(M.reserved, tvb(offset + 3, 1))
    item:add_le(M.instrument_id, tvb(offset + 4, 4))
    item:add(M.sequence, tvb(offset, 0), frame.sequence):set_generated()
    item:add_le(M.block_length, tvb(offset + 8, 2))
    item:add_le(M.template, tvb(offset + 10, 2))
    item:add_le(M.schema, tvb(offset + 12, 2))
    local version = item:add_le(M.version, tvb(offset + 14, 2))
    local root = offset + FRAME_LENGTH
    local text
    if not known then
        item:add_proto_expert_info(later, "a template that this dissector does not know")
        if stop > root then
            item:add(M.unknown, tvb(root, stop - root))
        end
    else
        if tvb(offset + 14, 2):le_uint() > SCHEMA_VERSION then
            version:add_proto_expert_info(later, "a later version than this dissector's")
        end
        if frame.block_length < known.root.size then
            item:add_proto_expert_info(impossible, "a root block shorter than any version's")
        end
        local scale = find_scale(tvb, pinfo, packet, frame, known)
        local values = add_block(item, tvb, root, frame.block_length, known.root, scale)
        local behind, wrong, count = root + frame.block_length, nil, 0
        if known.group and frame.block_length >= known.root.size then
            if behind + 4 <= stop then
                count = tvb(behind + 2, 2):le_uint()
            end
            behind, wrong = add_group(item, tvb, behind, stop, known, scale, tonumber(values.bidCount) or 0)
        end
        if wrong then
            item:add_proto_expert_info(impossible, wrong)
        elseif behind < stop then
            item:add(M.padding, tvb(behind, stop - behind))
        end
        if frame.block_length >= known.root.size then
            text = summary(known, values, count)
            if known.name == "InstrumentDefinition" and frame.instrument ~= 0 then
                names[frame.instrument] = text
            end
        end
    end
    local instrument = names[frame.instrument]
    if instrument then
        item:add(M.instrument, tvb(offset + 4, 4), instrument):set_generated()
    end
    local whose = instrument or (frame.instrument ~= 0 and tostring(frame.instrument)) or nil
    if whose and text ~= whose then
        text = text and whose .. " " .. text or whose
    end
    item:set_text(text and name .. ": " .. text or name)
    return name, text
end

-- The next frame, or nil and what is wrong with it.
local function read_frame(tvb, offset, size)
    if offset + FRAME_LENGTH > size then
        return nil, "a message begins beyond the packet's end"
    end
    local frame = {
        offset = offset,
        length = tvb(offset, 2):le_uint(),
        instrument = tvb(offset + 4, 4):le_uint(),
        block_length = tvb(offset + 8, 2):le_uint(),
        template = tvb(offset + 10, 2):le_uint(),
    }
    if frame.length < FRAME_LENGTH or frame.length % 8 ~= 0 or offset + frame.length > size then
        return nil, string.format("frame length %d at offset %d of %d bytes", frame.length, offset, size)
    end
    if FRAME_LENGTH + frame.block_length > frame.length then
        return nil, string.format("a root block of %d bytes in a frame of %d", frame.block_length, frame.length)
    end
    if tvb(offset + 12, 2):le_uint() ~= PROTOCOL_ID then
        return nil, string.format("schema id %d", tvb(offset + 12, 2):le_uint())
    end
    return frame
end

-- All messages. Returns the Info column's words for them, and the offset behind the last sound one.
local function add_messages(tree, tvb, pinfo, packet, size)
    local offset, order, counts, only, whose = packet.header_length, {}, {}, nil, nil
    local sequence = packet.sequence
    for _ = 1, packet.count do
        local frame, wrong = read_frame(tvb, offset, size)
        if not frame then
            tree:add_proto_expert_info(size < tvb:reported_len() and cut or malformed, wrong)
            order[#order + 1] = "MALFORMED"
            break
        end
        frame.sequence = sequence
        sequence = sequence + UInt64(1)
        local name, text = add_message(tree, tvb, pinfo, packet, frame)
        if not counts[name] then
            counts[name] = 0
            order[#order + 1] = name
        end
        counts[name] = counts[name] + 1
        only = text
        if frame.instrument ~= 0 then
            whose = (whose == nil or whose == frame.instrument) and frame.instrument
        end
        offset = offset + frame.length
    end
    if packet.count == 1 and only then
        return order[1] .. " " .. only, offset
    end
    for index, name in ipairs(order) do
        order[index] = (counts[name] or 1) > 1 and name .. " x" .. counts[name] or name
    end
    local words = table.concat(order, ", ")
    return whose and words .. " " .. (names[whose] or whose) or words, offset
end

local function info(packet, words)
    local text = { channel_text(packet.channel) }
    if packet.channel % 16 ~= 5 or packet.count == 0 then
        local last = packet.count > 1 and "-" .. tostring(packet.sequence + UInt64(packet.count - 1)) or ""
        text[#text + 1] = "seq " .. tostring(packet.sequence) .. last
    end
    for _, flag in ipairs({ { 0x10, "heartbeat" }, { 0x20, "end of session" }, { 0x80, "[test]" } }) do
        if bit.band(packet.flags, flag[1]) ~= 0 then
            text[#text + 1] = flag[2]
        end
    end
    if bit.band(packet.flags, 0x08) ~= 0 and packet.channel % 16 ~= 5 then
        text[#text + 1] = "[again]"
    end
    text[#text + 1] = words ~= "" and words or nil
    return table.concat(text, " ")
end

local function is_ours(tvb)
    return tvb:len() >= 2 and tvb(0, 2):le_uint() == PROTOCOL_ID
end

local function dissect(tvb, pinfo, root)
    if not is_ours(tvb) then
        return 0
    end
    local size = tvb:len()
    pinfo.cols.protocol = "feeder"
    local tree = root:add(feeder, tvb())
    tree:add_le(P.protocol_id, tvb(0, 2))
    local wrong
    if size < HEADER_LENGTH then
        wrong = string.format("%d bytes are less than a header", size)
    elseif tvb(2, 1):uint() < 1 or tvb(3, 1):uint() < HEADER_LENGTH or tvb(3, 1):uint() > size then
        wrong = string.format("header version %d of %d bytes", tvb(2, 1):uint(), tvb(3, 1):uint())
    end
    if wrong then
        tree:add_proto_expert_info(size < tvb:reported_len() and cut or malformed, wrong)
        pinfo.cols.info = "MALFORMED: " .. wrong
        return size
    end
    local packet = {
        header_length = tvb(3, 1):uint(),
        channel = tvb(4, 2):le_uint(),
        count = tvb(7, 1):uint(),
        session = tostring(tvb(8, 8):le_uint64()),
        sequence = tvb(16, 8):le_uint64(),
    }
    tree:add_le(P.header_version, tvb(2, 1))
    tree:add_le(P.header_length, tvb(3, 1))
    local channel = tree:add_le(P.channel_id, tvb(4, 2))
    channel:append_text(" (" .. channel_text(packet.channel) .. ")")
    channel:add(P.partition, tvb(4, 2), math.floor(packet.channel / 16)):set_generated()
    channel:add(P.kind, tvb(4, 2), packet.channel % 16):set_generated()
    packet.flags = add_flags(tree, tvb(6, 1), P.flags, PACKET_FLAGS)
    tree:add_le(P.message_count, tvb(7, 1))
    tree:add_le(P.session_id, tvb(8, 8)):append_text(" (" .. time_text(tvb(8, 8):le_uint64()) .. ")")
    tree:add_le(P.sequence, tvb(16, 8))
    tree:add(P.next_sequence, tvb(16, 0), packet.sequence + UInt64(packet.count)):set_generated()
    tree:add_le(P.sending_time, tvb(24, 8)):append_text(" (" .. time_text(tvb(24, 8):le_uint64()) .. ")")
    if packet.header_length > HEADER_LENGTH then
        tree:add(P.appended, tvb(HEADER_LENGTH, packet.header_length - HEADER_LENGTH))
    end
    local words, behind = add_messages(tree, tvb, pinfo, packet, size)
    if behind < size then
        tree:add(P.rest, tvb(behind, size - behind))
        if not words:find("MALFORMED") then
            tree:add_proto_expert_info(malformed, string.format("%d bytes behind the last message", size - behind))
            words = words .. " MALFORMED"
        end
    end
    local line = info(packet, words)
    tree:append_text(", " .. line)
    pinfo.cols.info = line
    return size
end

feeder.dissector = dissect

feeder:register_heuristic("udp", function(tvb, pinfo, root)
    if not is_ours(tvb) or tvb:len() < HEADER_LENGTH or tvb(2, 1):uint() < 1 or tvb(3, 1):uint() < HEADER_LENGTH then
        return false
    end
    dissect(tvb, pinfo, root)
    return true
end)

feeder.prefs.ports = Pref.range("UDP ports", "20000-20255", "The base port and those of all channels after it", 65535)

local udp_ports = DissectorTable.get("udp.port")
local ports = ""

local function register_ports()
    if ports ~= feeder.prefs.ports then
        if ports ~= "" then
            udp_ports:remove(ports, feeder)
        end
        ports = feeder.prefs.ports
        if ports ~= "" then
            udp_ports:add(ports, feeder)
        end
    end
end

register_ports()
feeder.prefs_changed = register_ports
