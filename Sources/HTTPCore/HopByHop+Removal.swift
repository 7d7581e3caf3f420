internal import ChimeraBytes

extension HopByHop {
    private static let always: [FieldName] = [
        .connection, .keepAlive, .proxyConnection, .te, .transferEncoding, .upgrade, .http2Settings,
    ]

    /// Takes out what concerns one connection alone, the fields that Connection names included, so that the rest may
    /// be passed on (RFC 9110 §7.6.1).
    ///
    /// - Parameter namesFields: whether Connection names fields beside its usual options.
    package static func remove(from head: FieldBlock, namesFields: Bool = true) {
        if namesFields && head.contains(.connection) {
            for index in 0..<head.lineCount {
                let line = head.line(at: index)
                if line.isPresent && line.name == .connection { removeNamed(by: line.value, from: head) }
            }
        }
        for name in always { head.remove(name) }
    }

    private static func removeNamed(by value: Slice, from head: FieldBlock) {
        var elements = ListElements(head[value])
        while let element = elements.next() {
            let option = head[value].extracting(element)
            if mayBeNamed(option) { head.remove(name: option) }
        }
    }
}
