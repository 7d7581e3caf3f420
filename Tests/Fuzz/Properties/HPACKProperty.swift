@testable import ChimeraBytes
@testable import ChimeraHTTP2
@testable import ChimeraHTTPCore

/// Takes fields as facts.
private struct FactSink: FieldSink {
    let block = FieldBlock()
    var fields: [FieldFacts] = []
    var isValid = true

    mutating func add(_ field: DecodedField) {
        var name = [UInt8](copying: block[field.nameBytes])
        if name.isEmpty && field.name.isPseudo { name = [58, field.name.rawValue] }
        if name.isEmpty { name = "\(field.name.field.text)".utf8.map(\.lowercased) }
        fields.append(FieldFacts(name: name, value: [UInt8](copying: block[field.value])))
        if !field.isValid { isValid = false }
        if field.isValid && !field.name.isPseudo {
            let line = FieldLine(name: field.name.field, nameBytes: field.nameBytes, value: field.value)
            block.add(line)
        }
    }
}

/// Field blocks of one connection: the first octet chooses the table's size, and each block begins with an octet that
/// says its length.
///
/// - Nothing traps, and the table keeps within its size.
/// - What is too large counts what it would have held.
/// - Valid fields, encoded and decoded again with tables of their own, are the same.
func hpackFailure(_ input: [UInt8]) -> String? {
    guard let choice = input.first else { return nil }
    let tableBytesMax = [4096, 64, 0, 200][Int(choice & 3)]
    var decoder = FieldDecoder(tableBytesMax: tableBytesMax)
    var encoder = FieldEncoder(tableBytesMax: tableBytesMax)
    var second = FieldDecoder()
    var rest = input.dropFirst()
    while let count = rest.popFirst() {
        let block = Array(rest.prefix(Int(count)))
        rest = rest.dropFirst(Int(count))
        var sink = FactSink()
        let facts = withExactMemory(block[...]) { span -> BlockFacts? in
            try? decoder.decode(span, into: &sink, listBytesMax: 2048, fieldsMax: 16)
        }
        if decoder.tableFacts.size > tableBytesMax { return "the table is larger than its size" }
        guard let facts else { return nil }
        if !facts.isTooLarge {
            if sink.fields.count != facts.fields { return "a field is lost" }
            if facts.listBytes > 2048 { return "too large a list is given on" }
        } else if sink.fields.count > 16 {
            return "too many fields are given on"
        }
        if let failure = againFailure(sink, &encoder, &second) { return failure }
    }
    return nil
}

private func againFailure(_ sink: FactSink, _ encoder: inout FieldEncoder, _ decoder: inout FieldDecoder)
    -> String?
{
    let fields = FieldFacts.all(sink.block)
    if let failure = FieldFacts.failure(in: fields) { return failure }
    // Three times: what is seen again goes into the table, and is one index after that.
    for _ in 0..<3 {
        let output = ByteBuffer(capacity: 16)
        encoder.begin(output)
        for index in 0..<sink.block.lineCount {
            let line = sink.block.line(at: index)
            if line.name == .other {
                encoder.encode(name: sink.block[line.nameBytes], sink.block[line.value], output)
            } else {
                encoder.encode(WireName(line.name), sink.block[line.value], output)
            }
        }
        var again = FactSink()
        let bytes = [UInt8](copying: output.readable)
        do throws(CompressionProblem) {
            _ = try decoder.decode(bytes.span, into: &again, listBytesMax: 1 << 20, fieldsMax: 100)
        } catch {
            return "what was encoded is refused: \(error)"
        }
        if again.fields != fields { return "what was encoded is other fields" }
    }
    return nil
}
