internal import ChimeraBytes
internal import ChimeraConfiguration
internal import ChimeraHTTPCore
internal import ChimeraTLS

/// A matcher in the form in which one worker asks it.
final class CompiledMatcher {
    private enum Condition {
        case header(FieldName, name: [UInt8], ValueTest)
        case cookie([UInt8], ValueTest)
        case query([UInt8], ValueTest)
        case client([CIDR])
        case method(MethodSet)
        case scheme(http: Bool, https: Bool)
        case tlsClient(ValueTest)
        case host([HostTest])
        case path([CompiledPattern])
    }

    private let conditions: [Condition]

    init(_ matcher: Matcher) {
        conditions = matcher.conditions.map { condition in
            switch condition {
            case .header(let name, let globs):
                let bytes = Array(name.utf8)
                return .header(FieldName(bytes.span), name: bytes, ValueTest(globs))
            case .cookie(let name, let globs): return .cookie(Array(name.utf8), ValueTest(globs))
            case .query(let name, let globs): return .query(Array(name.utf8), ValueTest(globs))
            case .client(let blocks): return .client(blocks.map { $0 })
            case .method(let names): return .method(MethodSet(names))
            case .scheme(let names):
                return .scheme(http: names.contains("http"), https: names.contains("https"))
            case .tlsClient(let globs): return .tlsClient(ValueTest(globs))
            case .host(let patterns): return .host(patterns.map(HostTest.init))
            case .path(let patterns): return .path(patterns.map(CompiledPattern.init))
            }
        }
    }

    /// Whether all conditions hold for the request, whose host and path the context has.
    func matches(_ context: RequestContext, _ request: RequestHead) -> Bool {
        for condition in conditions {
            guard CompiledMatcher.holds(condition, context, request) else { return false }
        }
        return true
    }

    private static func holds(
        _ condition: Condition, _ context: RequestContext, _ request: RequestHead
    ) -> Bool {
        switch condition {
        case .header(let name, let bytes, let test): return header(name, bytes, test, request)
        case .cookie(let name, let test): return cookie(name, test, request)
        case .query(let name, let test): return query(name, test, context, request)
        case .client(let blocks):
            guard let client = context.client else { return false }
            for block in blocks where block.contains(client) { return true }
            return false
        case .method(let methods): return methods.contains(methodOf: request)
        case .scheme(let http, let https): return context.isSecure ? https : http
        case .tlsClient(let test):
            guard let subject = context.tls?.clientSubject, !subject.isEmpty else { return false }
            return test.matches(subject.span)
        case .host(let tests):
            for test in tests where test.matches(context.canonicalHost) { return true }
            return false
        case .path(let patterns):
            for pattern in patterns where pattern.matches(context.matchedPath) { return true }
            return false
        }
    }

    private static func header(
        _ name: FieldName, _ bytes: [UInt8], _ test: ValueTest, _ request: RequestHead
    ) -> Bool {
        guard let first = request.index(ofName: bytes.span) else { return false }
        for index in first..<request.lineCount {
            let line = request.line(at: index)
            guard line.isPresent, line.name == name,
                name != .other || request[line.nameBytes].equalsIgnoringCase(bytes.span)
            else { continue }
            if test.matches(request[line.value]) { return true }
        }
        return false
    }

    private static func cookie(_ name: [UInt8], _ test: ValueTest, _ request: RequestHead) -> Bool {
        guard let first = request.index(of: .cookie) else { return false }
        for index in first..<request.lineCount {
            let line = request.line(at: index)
            guard line.isPresent, line.name == .cookie else { continue }
            let value = request[line.value]
            if let range = Cookies.value(of: name.span, in: value), test.matches(value.extracting(range)) {
                return true
            }
        }
        return false
    }

    private static func query(
        _ name: [UInt8], _ test: ValueTest, _ context: RequestContext, _ request: RequestHead
    ) -> Bool {
        guard QueryParameters.value(of: name.span, in: request[context.query]) != nil else { return false }
        if test.asksPresence { return true }
        var decoded: [UInt8] = []
        _ = QueryParameters.appendValue(of: name.span, in: request[context.query], to: &decoded)
        return test.matches(decoded.span)
    }
}

/// What a value has to be: one of some globs, or merely there.
struct ValueTest {
    private let globs: [Glob]

    init(_ globs: [Glob]) {
        // Read again for each worker, so that no two of them count references of one array.
        self.globs = globs.map { Glob(Array($0.text.utf8).span) }
    }

    var asksPresence: Bool { globs.isEmpty }

    func matches(_ value: Span<UInt8>) -> Bool {
        if globs.isEmpty { return true }
        for index in globs.indices where globs[index].matches(value) { return true }
        return false
    }
}

/// A host pattern as a matcher has it.
private struct HostTest {
    private enum Kind { case exact, wildcard, deepWildcard, any }

    private let kind: Kind
    private let name: [UInt8]

    init(_ pattern: HostPattern) {
        switch pattern {
        case .exact(let name): (kind, self.name) = (.exact, Array(name.utf8))
        case .wildcard(let name): (kind, self.name) = (.wildcard, Array(name.utf8))
        case .deepWildcard(let name): (kind, self.name) = (.deepWildcard, Array(name.utf8))
        case .any: (kind, name) = (.any, [])
        }
    }

    func matches(_ host: Span<UInt8>) -> Bool {
        switch kind {
        case .any: return true
        case .exact: return host.equals(name.span)
        case .wildcard:
            guard let dot = host.firstIndex(of: UInt8(ascii: ".")), dot > 0 else { return false }
            return host.extracting((dot + 1)..<host.count).equals(name.span)
        case .deepWildcard:
            let dot = host.count - name.count - 1
            return dot > 0 && host[dot] == UInt8(ascii: ".")
                && host.extracting((dot + 1)..<host.count).equals(name.span)
        }
    }
}

/// `@name` or `!@name` where a route, a block or an access rule uses it.
struct CompiledMatcherUse {
    let matcher: CompiledMatcher
    let isNegated: Bool

    func holds(_ context: RequestContext, _ request: RequestHead) -> Bool {
        matcher.matches(context, request) != isNegated
    }
}

extension [CompiledMatcherUse] {
    /// Whether all of them hold.
    func hold(_ context: RequestContext, _ request: RequestHead) -> Bool {
        for use in self where !use.holds(context, request) { return false }
        return true
    }
}
