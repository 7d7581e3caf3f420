/// How one tenant's file differs between two configurations: what serves, and what the disk has.
package struct TenantDifference: Sendable, Equatable {
    package enum Kind: String, Sendable {
        /// The tenant is on the disk alone.
        case added
        /// The tenant serves and its file is gone.
        case removed
        case changed
        /// What the disk has cannot be read.
        case unreadable
    }

    package var id: String
    package var file: String
    package var kind: Kind
    /// The lines as `diff -u` shows them, each with its mark.
    package var lines: [String]
    /// Why the file cannot be read.
    package var failure: FileFailure?

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
            case (_, let after?) where after.failure != nil:
                TenantDifference(
                    id: id, file: after.file, kind: .unreadable, lines: [], failure: after.failure)
            case (let before?, let after?) where before.text == after.text: nil
            case (let before?, let after?):
                TenantDifference(
                    id: id, file: after.file, kind: .changed,
                    lines: LineDifference.lines(Self.lines(before.text), Self.lines(after.text)))
            case (nil, let after?):
                TenantDifference(
                    id: id, file: after.file, kind: .added,
                    lines: Self.lines(after.text).map { "+" + LineDifference.printed($0) })
            case (let before?, nil):
                TenantDifference(
                    id: id, file: before.file, kind: .removed,
                    lines: Self.lines(before.text).map { "-" + LineDifference.printed($0) })
            case (nil, nil): nil
            }
        }
    }

    /// As `chimera diff` prints it.
    package var text: String {
        let what = failure.map { "unreadable, since it \($0.reason)" } ?? kind.rawValue
        return "\(Shown.text(file)): \(what)\n" + lines.map { $0 + "\n" }.joined()
    }

    private static func lines(_ text: [UInt8]) -> [[UInt8]] {
        var lines = text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        if lines.last?.isEmpty == true { lines.removeLast() }
        return lines.map { Array($0) }
    }
}
