package import ChimeraBytes
package import ChimeraHTTPCore

/// Why a field block cannot be decoded, which is always a connection error COMPRESSION_ERROR (RFC 9113 §4.3): the
/// tables of both sides no longer agree.
package enum CompressionProblem: Error, Sendable, CaseIterable {
    /// The block ends within a field.
    case cut
    /// An integer of more than 28 bits (RFC 7541 §5.1), or spelled with needless octets.
    case integerTooLarge
    /// An index beyond both tables, or 0 (RFC 7541 §2.3.3, §6.1).
    case indexUnknown
    /// A broken Huffman code (RFC 7541 §5.2).
    case codeBroken
    /// A change of the table's size that is not at the start (RFC 7541 §4.2) or beyond the limit (§6.3).
    case resizeRefused
}

/// A field that was decoded into a block's bytes, where its slices lie.
package struct DecodedField {
    package var name: WireName
    /// Empty for a name that is in a table.
    package var nameBytes: Slice
    package var value: Slice
    /// RFC 9113 §8.2.1: the name is a token in small letters, and the value holds no controls and no blank at its ends.
    package var isValid: Bool
}

/// What takes decoded fields.
package protocol FieldSink {
    /// Where octets of names and values go.
    var block: FieldBlock { get }

    /// Takes the next field, whose octets are in `block`.
    mutating func add(_ field: DecodedField)
}

/// What a whole field block held.
package struct BlockFacts: Equatable, Sendable {
    /// Octets of all fields, each counted with 32 more (RFC 9113 §6.5.2: SETTINGS_MAX_HEADER_LIST_SIZE).
    package var listBytes = 0
    package var fields = 0
    /// More than allowed: fields from there on were decoded for the table's sake, and given to nobody.
    package var isTooLarge = false
}

/// Decodes field blocks (RFC 7541), straight into the field table of a head.
package struct FieldDecoder: ~Copyable {
    private var table: DynamicTable
    /// What SETTINGS_HEADER_TABLE_SIZE allows, in octets.
    private let tableBytesMax: Int
    private let huffman = HuffmanCode.shared
    private let statics = StaticTable.shared
    private let known = KnownNames.shared
    /// The largest value of an integer.
    private static let integerMax = 1 << 28

    package init(tableBytesMax: Int = 4096) {
        self.tableBytesMax = tableBytesMax
        table = DynamicTable(sizeMax: tableBytesMax)
    }

    /// How many entries the dynamic table has, and what they count together in octets.
    package var tableFacts: (count: Int, size: Int) { (table.count, table.size) }

    /// An entry of the dynamic table as octets, the newest first; nil behind the last.
    package func tableEntry(_ age: Int) -> (name: [UInt8], value: [UInt8])? {
        guard let entry = table.entry(age: age) else { return nil }
        let octets = Array(table.octets(of: entry))
        var name = Array(octets[..<entry.nameCount])
        if !entry.name.needsText {
            let text = entry.name.text
            name = UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount).map(\.lowercased)
        }
        return (name, Array(octets[entry.nameCount...]))
    }

    /// Decodes a whole block.
    ///
    /// - Parameters:
    ///   - listBytesMax: what `BlockFacts.listBytes` may be.
    ///   - fieldsMax: how many fields there may be.
    /// - Throws: what ends the connection.
    package mutating func decode<Sink: FieldSink>(
        _ input: Span<UInt8>, into sink: inout Sink, listBytesMax: Int, fieldsMax: Int
    ) throws(CompressionProblem) -> BlockFacts {
        var facts = BlockFacts()
        let block = sink.block
        var index = 0
        while index < input.count {
            let first = input[unchecked: index]
            if first & 0x80 != 0 {
                let number = try Self.integer(input, &index, prefix: 7)
                try addIndexed(number, &sink, block, &facts, listBytesMax, fieldsMax)
            } else if first & 0xE0 == 0x20 {
                // RFC 7541 §4.2: only at the start of a block.
                let size = try Self.integer(input, &index, prefix: 5)
                guard facts.fields == 0, size <= tableBytesMax else { throw .resizeRefused }
                table.resize(to: size)
            } else {
                try addLiteral(input, &index, &sink, block, &facts, listBytesMax, fieldsMax)
            }
        }
        return facts
    }

    /// RFC 7541 §5.1: an integer whose first octet has `prefix` bits for it.
    private static func integer(_ input: Span<UInt8>, _ index: inout Int, prefix: Int)
        throws(CompressionProblem) -> Int
    {
        let mask = (1 &<< prefix) &- 1
        var value = Int(input[unchecked: index]) & mask
        index &+= 1
        guard value == mask else { return value }
        var shift = 0
        while true {
            guard index < input.count else { throw .cut }
            let octet = Int(input[unchecked: index])
            index &+= 1
            guard shift <= 28 else { throw .integerTooLarge }
            value &+= (octet & 0x7F) &<< shift
            shift &+= 7
            if octet & 0x80 == 0 { break }
        }
        guard value <= integerMax else { throw .integerTooLarge }
        return value
    }

    /// Counts a field.
    ///
    /// - Returns: whether it is still within the bounds.
    private func count(_ size: Int, _ facts: inout BlockFacts, _ listBytesMax: Int, _ fieldsMax: Int) -> Bool
    {
        facts.listBytes &+= size
        facts.fields &+= 1
        if facts.listBytes > listBytesMax || facts.fields > fieldsMax { facts.isTooLarge = true }
        return !facts.isTooLarge
    }

    // MARK: Indexed fields, RFC 7541 §6.1

    private func addIndexed<Sink: FieldSink>(
        _ number: Int, _ sink: inout Sink, _ block: FieldBlock, _ facts: inout BlockFacts,
        _ listBytesMax: Int,
        _ fieldsMax: Int
    ) throws(CompressionProblem) {
        guard number > 0 else { throw .indexUnknown }
        guard number <= StaticTable.count else {
            guard let entry = table.entry(age: number - StaticTable.count - 1) else { throw .indexUnknown }
            if count(entry.size, &facts, listBytesMax, fieldsMax) { sink.add(copy(entry, block)) }
            return
        }
        let entry = statics[number]
        let (name, value) = (entry.text, entry.value)
        let size = name.utf8CodeUnitCount + value.utf8CodeUnitCount + 32
        guard count(size, &facts, listBytesMax, fieldsMax) else { return }
        var nameBytes = Slice.empty
        if entry.name.needsText {
            nameBytes = block.store(Span(_unsafeStart: name.utf8Start, count: name.utf8CodeUnitCount))
        }
        let slice = block.store(Span(_unsafeStart: value.utf8Start, count: value.utf8CodeUnitCount))
        sink.add(DecodedField(name: entry.name, nameBytes: nameBytes, value: slice, isValid: true))
    }

    private func copy(_ entry: DynamicTable.Entry, _ block: FieldBlock) -> DecodedField {
        let all = block.store(Span(_unsafeElements: table.octets(of: entry)))
        let start = Int(all.start)
        return DecodedField(
            name: entry.name, nameBytes: Slice(start: start, count: entry.nameCount),
            value: Slice(start: start + entry.nameCount, count: entry.valueCount),
            isValid: entry.isNameValid && entry.isValueValid)
    }

    // MARK: Literals, RFC 7541 §6.2

    private mutating func addLiteral<Sink: FieldSink>(
        _ input: Span<UInt8>, _ index: inout Int, _ sink: inout Sink, _ block: FieldBlock,
        _ facts: inout BlockFacts, _ listBytesMax: Int, _ fieldsMax: Int
    ) throws(CompressionProblem) {
        let isIndexing = input[unchecked: index] & 0xC0 == 0x40
        let nameIndex = try Self.integer(input, &index, prefix: isIndexing ? 6 : 4)
        let namePart = nameIndex == 0 ? try Self.string(input, &index) : .none
        let valuePart = try Self.string(input, &index)
        var name = try indexedName(nameIndex)
        // The octets are written behind those of the block, and become its own only if the field is taken.
        let room = block.room(namePart.decodedMax + name.octets + valuePart.decodedMax)
        if nameIndex == 0 {
            name = readName(room, try decode(input, namePart, to: room))
        } else if let from = name.source {
            room.update(from: from, count: name.octets)
        }
        let value = room + name.octets
        let valueCount = try decode(input, valuePart, to: value)
        let isValueValid = isFieldValue(UnsafeBufferPointer(start: value, count: valueCount))
        if isIndexing {
            table.insert(
                name.wireName,
                name: UnsafeBufferPointer(start: room, count: name.wireName.needsText ? name.octets : 0),
                nameCount: name.count, value: UnsafeBufferPointer(start: value, count: valueCount),
                isNameValid: name.isValid, isValueValid: isValueValid)
        }
        guard count(name.count + valueCount + 32, &facts, listBytesMax, fieldsMax) else { return }
        let start = Int(block.commit(name.octets + valueCount).start)
        sink.add(
            DecodedField(
                name: name.wireName,
                nameBytes: Slice(start: start, count: name.wireName.needsText ? name.octets : 0),
                value: Slice(start: start + name.octets, count: valueCount),
                isValid: name.isValid && isValueValid))
    }

    /// A string as it stands in the block (RFC 7541 §5.2).
    private struct StringPart {
        var range: Range<Int>
        var isCoded: Bool

        static var none: StringPart { StringPart(range: 0..<0, isCoded: false) }

        /// The most octets that it stands for.
        var decodedMax: Int { isCoded ? HuffmanCode.decodedMax(range.count) : range.count }
    }

    private static func string(_ input: Span<UInt8>, _ index: inout Int) throws(CompressionProblem)
        -> StringPart
    {
        guard index < input.count else { throw .cut }
        let isCoded = input[unchecked: index] & 0x80 != 0
        let count = try integer(input, &index, prefix: 7)
        guard count <= input.count - index else { throw .cut }
        defer { index += count }
        return StringPart(range: index..<(index + count), isCoded: isCoded)
    }

    /// - Returns: how many octets were written to `room`, which has place for as many as the part may stand for.
    private func decode(_ input: Span<UInt8>, _ part: StringPart, to room: UnsafeMutablePointer<UInt8>)
        throws(CompressionProblem) -> Int
    {
        let octets = input.extracting(part.range)
        guard part.isCoded else {
            octets.withUnsafeBufferPointer {
                if let from = $0.baseAddress { room.update(from: from, count: $0.count) }
            }
            return octets.count
        }
        guard let count = huffman.decode(octets, to: room) else { throw .codeBroken }
        return count
    }

    /// The name of a literal field.
    private struct LiteralName {
        var wireName: WireName
        var isValid = true
        /// Octets of the name.
        var count = 0
        /// Octets of the name that are put before the value.
        var octets = 0
        /// Where these come from, if from a table.
        var source: UnsafePointer<UInt8>?
    }

    private func indexedName(_ index: Int) throws(CompressionProblem) -> LiteralName {
        if index == 0 { return LiteralName(wireName: .other) }
        if index <= StaticTable.count {
            let entry = statics[index]
            let count = entry.text.utf8CodeUnitCount
            return LiteralName(
                wireName: entry.name, count: count, octets: entry.name.needsText ? count : 0,
                source: entry.text.utf8Start)
        }
        guard let entry = table.entry(age: index - StaticTable.count - 1) else { throw .indexUnknown }
        return LiteralName(
            wireName: entry.name, isValid: entry.isNameValid, count: entry.size - 32 - entry.valueCount,
            octets: entry.nameCount, source: table.octets(of: entry).baseAddress)
    }

    private func readName(_ room: UnsafeMutablePointer<UInt8>, _ count: Int) -> LiteralName {
        let octets = UnsafeBufferPointer(start: room, count: count)
        let name = WireName(Span(_unsafeElements: octets), known)
        return LiteralName(
            wireName: name, isValid: name.isPseudo || isFieldName(octets), count: count, octets: count)
    }

    // MARK: What may stand in a message

    /// RFC 9113 §8.2.1: no capital letters; RFC 9110 §5.1: a token.
    private func isFieldName(_ octets: UnsafeBufferPointer<UInt8>) -> Bool {
        for octet in octets where !known.isToken[Int(octet)] || octet &- 0x41 < 26 { return false }
        return !octets.isEmpty
    }

    /// RFC 9113 §8.2.1: no NUL, CR and LF, and no blank at either end; RFC 9110 §5.5: no other control but the
    /// tabulator. Eight octets at a time for what is plain ASCII.
    private func isFieldValue(_ octets: UnsafeBufferPointer<UInt8>) -> Bool {
        guard let base = octets.baseAddress, octets.count > 0 else { return true }
        let count = octets.count
        if base[0].isOptionalWhitespace || base[count - 1].isOptionalWhitespace { return false }
        var index = 0
        while index + 8 <= count {
            // Sound: eight octets from index lie within the buffer, and any bits make an integer.
            let word = UnsafeRawPointer(base + index).loadUnaligned(as: UInt64.self)
            let below32 = (word &- 0x2020_2020_2020_2020) & ~word
            let differing = word ^ 0x7f7f_7f7f_7f7f_7f7f
            let delete = (differing &- 0x0101_0101_0101_0101) & ~differing
            if (below32 | delete | word) & 0x8080_8080_8080_8080 != 0 {
                for offset in 0..<8 where !base[index + offset].isFieldValueCharacter { return false }
            }
            index += 8
        }
        while index < count {
            if !base[index].isFieldValueCharacter { return false }
            index += 1
        }
        return true
    }
}
