internal import ChimeraBytes
internal import ChimeraHTTPCore

/// The methods that a route or a settings block names.
struct MethodSet {
    /// By `Method.rawValue`.
    private var known: UInt32 = 0
    /// Those that are not in `Method`.
    private(set) var others: [[UInt8]] = []

    /// - Parameter names: in capitals; empty: every method. GET includes HEAD.
    init(_ names: [String]) {
        if names.isEmpty { known = .max }
        for name in names { insert(Array(name.utf8)) }
        if contains(.get) { known |= MethodSet.bit(.head) }
    }

    private mutating func insert(_ name: [UInt8]) {
        let method = Method(name.span)
        if method == .other {
            if !others.contains(name) { others.append(name) }
        } else {
            known |= MethodSet.bit(method)
        }
    }

    func contains(_ method: Method) -> Bool { known & MethodSet.bit(method) != 0 }

    /// Whether the request's method is one of these.
    func contains(methodOf request: RequestHead) -> Bool {
        if known == .max { return true }
        let method = request.method
        return method == .other ? containsOther(request) : contains(method)
    }

    @inline(never)
    private func containsOther(_ request: RequestHead) -> Bool {
        for name in others where request[request.methodBytes].equals(name.span) { return true }
        return false
    }

    mutating func formUnion(_ other: MethodSet) {
        known |= other.known
        for name in other.others where !others.contains(name) { others.append(name) }
    }

    /// Appends the methods as `Allow` lists them (RFC 9110 §10.2.1).
    func append(to output: ByteBuffer) {
        var isFirst = true
        for method in Method.allCases where method != .other && contains(method) {
            if !isFirst { output.append(", ") }
            output.append(method.token)
            isFirst = false
        }
        for name in others {
            if !isFirst { output.append(", ") }
            output.append(name.span)
            isFirst = false
        }
    }

    private static func bit(_ method: Method) -> UInt32 { 1 << UInt32(method.rawValue) }
}
