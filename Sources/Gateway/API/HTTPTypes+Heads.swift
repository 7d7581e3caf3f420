internal import ChimeraBytes
internal import ChimeraHTTPCore
internal import HTTPTypes

extension HTTPRequest {
    /// The request as a handler gets it: as an upstream would, with the settings of the configuration
    /// applied.
    init(_ transaction: Transaction, _ dispatcher: Dispatcher) {
        let (request, context) = (transaction.request, transaction.context)
        let head = RequestHead()
        head.copy(request)
        HopByHop.remove(from: head)
        dispatcher.finishRequest(context, request, to: head)
        head.remove(.host)
        let path = String(copying: head[context.storeTarget(of: request, in: head)])
        let authority = request.authority.isEmpty ? nil : String(copying: request[request.authority])
        // The parser took a token, so there is no other case.
        let method = HTTPRequest.Method(rawValue: String(copying: request[request.methodBytes])) ?? .get
        self.init(
            method: method, scheme: context.isSecure ? "https" : "http", authority: authority, path: path,
            headerFields: HTTPFields(head))
    }
}

extension HTTPFields {
    /// The lines of a field section that are present.
    init(_ block: FieldBlock) {
        self.init()
        for index in 0..<block.lineCount {
            let line = block.line(at: index)
            guard line.isPresent, let name = HTTPField.Name(String(copying: block.name(of: line))) else {
                continue
            }
            append(block[line.value].withUnsafeBufferPointer { HTTPField(name: name, lenientValue: $0) })
        }
    }
}

extension FieldBlock {
    /// Appends fields. Values are legal by their type, but for what it lets through leniently: a line with a
    /// control character is left out (RFC 9110 §5.5).
    func add(_ fields: HTTPFields) {
        for field in fields where !field.name.rawName.utf8.starts(with: [UInt8(ascii: ":")]) {
            let name = Array(field.name.rawName.utf8)
            field.withUnsafeBytesOfValue { value in
                if value.allSatisfy(\.isFieldContent) {
                    add(name: name.span, value: Span(_unsafeElements: value))
                }
            }
        }
    }
}

extension UInt8 {
    fileprivate var isFieldContent: Bool { self >= 0x20 && self != 0x7F || self == 0x09 }
}
