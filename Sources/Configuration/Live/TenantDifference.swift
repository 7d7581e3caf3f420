/// How one tenant's file differs between two configurations: what serves, and what the disk has.
package struct TenantDifference: Sendable, Equatable {
    package enum Kind: String, Sendable {
        /// The tenant is on the disk alone.
        case added
        /// The tenant serves and its file is gone.
        case removed
        case changed
    }

    package var id: String
    package var file: String
    package var kind: Kind
    /// The lines as `diff -u` shows them, each with its mark.
    package var lines: [String]

    /// What is different, by id.
    ///
    /// - Parameter pause: called between tenants.
    package static func between(
        running: [TenantSource], disk: [TenantSource], pause: () -> Void = {}
    ) -> [TenantDifference] {
        let old = Dictionary(running.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        let new = Dictionary(disk.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        return Set(old.keys).union(new.keys).sorted().compactMap { id in
            pause()
            return switch (old[id], new[id]) {
            case (let before?, let after?) where before.text == after.text: nil
            case (let before?, let after?):
                TenantDifference(
                    id: id, file: after.file, kind: .changed,
                    lines: LineDifference.lines(Self.lines(before.text), Self.lines(after.text)))
            case (nil, let after?):
                TenantDifference(
                    id: id, file: after.file, kind: .added, lines: Self.lines(after.text).map { "+" + $0 })
            case (let before?, nil):
                TenantDifference(
                    id: id, file: before.file, kind: .removed, lines: Self.lines(before.text).map { "-" + $0 }
                )
            case (nil, nil): nil
            }
        }
    }

    /// As `chimera diff` prints it.
    package var text: String {
        "\(file): \(kind.rawValue)\n" + lines.map { $0 + "\n" }.joined()
    }

    private static func lines(_ text: [UInt8]) -> [String] {
        var lines = text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        if lines.last?.isEmpty == true { lines.removeLast() }
        return lines.map { String(decoding: $0, as: UTF8.self) }
    }
}

/// The lines of two texts side by side, those that are the same once.
enum LineDifference {
    /// Unchanged lines that are shown before and after a change.
    private static let context = 3
    /// Past so many pairs of lines the whole middle counts as changed.
    private static let pairsMax = 4_000_000

    private enum Line {
        case same(String, old: Int, new: Int)
        case gone(String, old: Int, new: Int)
        case fresh(String, old: Int, new: Int)
    }

    static func lines(_ old: [String], _ new: [String]) -> [String] {
        let all = sideBySide(old, new)
        var shown = [Bool](repeating: false, count: all.count)
        for (index, line) in all.enumerated() {
            if case .same = line { continue }
            for near in max(0, index - context)...min(all.count - 1, index + context) { shown[near] = true }
        }
        var result: [String] = []
        for (index, line) in all.enumerated() where shown[index] {
            let isFirst = index == 0 || !shown[index - 1]
            switch line {
            case .same(let text, let old, let new):
                if isFirst { result.append("@@ -\(old + 1) +\(new + 1) @@") }
                result.append(" " + text)
            case .gone(let text, let old, let new):
                if isFirst { result.append("@@ -\(old + 1) +\(new + 1) @@") }
                result.append("-" + text)
            case .fresh(let text, let old, let new):
                if isFirst { result.append("@@ -\(old + 1) +\(new + 1) @@") }
                result.append("+" + text)
            }
        }
        return result
    }

    private static func sideBySide(_ old: [String], _ new: [String]) -> [Line] {
        let head = zip(old, new).prefix { $0 == $1 }.count
        let tail = zip(old.dropFirst(head).reversed(), new.dropFirst(head).reversed()).prefix { $0 == $1 }
            .count
        var result: [Line] = (0..<head).map { .same(old[$0], old: $0, new: $0) }
        let (oldEnd, newEnd) = (old.count - tail, new.count - tail)
        result += middle(old, new, head..<oldEnd, head..<newEnd)
        result += (0..<tail).map { .same(old[oldEnd + $0], old: oldEnd + $0, new: newEnd + $0) }
        return result
    }

    /// By the longest common subsequence.
    private static func middle(_ old: [String], _ new: [String], _ left: Range<Int>, _ right: Range<Int>)
        -> [Line]
    {
        guard left.count * right.count <= pairsMax else {
            return left.map { .gone(old[$0], old: $0, new: right.lowerBound) }
                + right.map { .fresh(new[$0], old: left.upperBound, new: $0) }
        }
        let width = right.count + 1
        var lengths = [Int32](repeating: 0, count: (left.count + 1) * width)
        for i in stride(from: left.count - 1, through: 0, by: -1) {
            for j in stride(from: right.count - 1, through: 0, by: -1) {
                lengths[i * width + j] =
                    old[left.lowerBound + i] == new[right.lowerBound + j]
                    ? lengths[(i + 1) * width + j + 1] + 1
                    : max(lengths[(i + 1) * width + j], lengths[i * width + j + 1])
            }
        }
        var result: [Line] = []
        var (i, j) = (0, 0)
        while i < left.count || j < right.count {
            let (a, b) = (left.lowerBound + i, right.lowerBound + j)
            if i < left.count, j < right.count, old[a] == new[b] {
                result.append(.same(old[a], old: a, new: b))
                (i, j) = (i + 1, j + 1)
            } else if i < left.count,
                j == right.count || lengths[(i + 1) * width + j] >= lengths[i * width + j + 1]
            {
                result.append(.gone(old[a], old: a, new: b))
                i += 1
            } else {
                result.append(.fresh(new[b], old: a, new: b))
                j += 1
            }
        }
        return result
    }
}

extension ConfigurationLoader {
    /// The text of every tenant's file on the disk; nil where the machine's file cannot be used.
    /// - Parameter pause: called between them.
    package func tenantSources(machineFile: String, pause: () -> Void = {}) -> [TenantSource]? {
        let session = session
        guard let source = try? session.source(machineFile) else { return nil }
        let machine = MachineLoad(session, FileDecoder(source, owner: "", session: session, machine: nil))
        let files = machine.tenantFiles(pause: pause)
        guard !machine.decoder.hasErrors else { return nil }
        return files.compactMap { file in
            pause()
            guard let source = try? session.source(file.name) else { return nil }
            return TenantSource(id: file.id, file: file.name, text: source.bytes)
        }
    }

    /// Where the machine's file says that data is kept; nil where it says nothing.
    package func dataDirectory(machineFile: String) -> String? {
        let session = session
        guard let source = try? session.source(machineFile) else { return nil }
        return MachineLoad(session, FileDecoder(source, owner: "", session: session, machine: nil))
            .configuration
            .dataDirectory
    }
}

extension LastGoodStore {
    /// The text of each version that is kept.
    package func sources() -> [TenantSource] {
        index().entries.keys.sorted().compactMap { id in
            bundle(of: id).map { TenantSource(id: id, file: $0.name, text: $0.source) }
        }
    }
}
