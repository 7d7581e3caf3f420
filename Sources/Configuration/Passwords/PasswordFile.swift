internal import ChimeraBytes

/// The users of a password file as `htpasswd` writes it: lines of `user:hash`, comments after `#`, empty
/// lines.
package struct PasswordFile: Sendable {
    /// A line that is refused. It never holds a hash.
    package struct Fault: Error, Equatable, Sendable, CustomStringConvertible {
        package enum Reason: Equatable, Sendable {
            /// No colon, or no user before it.
            case notUserAndHash
            /// The user has an earlier line already.
            case repeatedUser
            /// The user's hash is none that is verified.
            case hash(PasswordHash.Refusal)
        }

        /// From 1.
        package let line: Int
        package let reason: Reason

        /// What is wrong and what to do, without the line's number.
        package var description: String {
            switch reason {
            case .notUserAndHash: "this is not user:hash"
            case .repeatedUser: "this user has a line above already"
            case .hash(.plainOrDES):
                "the password is in plain text or hashed by DES, neither of which protects it; "
                    + "write the line anew with htpasswd -B"
            case .hash(.unknownScheme):
                "this kind of hash is not known; bcrypt, SHA-crypt ($5$, $6$), apr1 and {SHA} are"
            case .hash(.malformed): "the hash is cut off or mistyped"
            case .hash(.tooCostly):
                "verifying this hash would take seconds; at most bcrypt may cost "
                    + "\(PasswordHash.bcryptCostMax), and SHA-crypt \(PasswordHash.shaRoundsMax) rounds"
            }
        }
    }

    /// All that is wrong with a file.
    package struct Faults: Error, Equatable, Sendable {
        package let lines: [Fault]
    }

    private var hashes: [ArraySlice<UInt8>: PasswordHash] = [:]
    /// The costliest hash: what a password is verified with where the user is unknown.
    package private(set) var costliest: PasswordHash?

    /// Reads the content of a file.
    package init(_ content: Span<UInt8>) throws(Faults) {
        var faults: [Fault] = []
        var start = 0
        var line = 0
        while start < content.count {
            let end = content.firstIndex(of: UInt8(ascii: "\n"), from: start) ?? content.count
            line += 1
            do throws(FaultReason) {
                try take(content.extracting(start..<end))
            } catch {
                faults.append(Fault(line: line, reason: error.reason))
            }
            start = end + 1
        }
        if !faults.isEmpty { throw Faults(lines: faults) }
    }

    /// How many users there are.
    package var count: Int { hashes.count }

    /// The hash of a user, or nil. Names are compared octet by octet.
    package func hash(of user: ArraySlice<UInt8>) -> PasswordHash? { hashes[user] }

    private struct FaultReason: Error {
        let reason: Fault.Reason
    }

    private mutating func take(_ line: Span<UInt8>) throws(FaultReason) {
        let text = line.extracting(first: Self.lengthWithoutSpaces(line))
        guard !text.isEmpty, text[0] != UInt8(ascii: "#") else { return }
        guard let colon = text.firstIndex(of: UInt8(ascii: ":")), colon > 0 else {
            throw FaultReason(reason: .notUserAndHash)
        }
        // No hash holds a colon; what is after another one is a comment.
        let end = text.firstIndex(of: UInt8(ascii: ":"), from: colon + 1) ?? text.count
        let hash: PasswordHash
        do throws(PasswordHash.Refusal) {
            hash = try PasswordHash(text.extracting((colon + 1)..<end))
        } catch {
            throw FaultReason(reason: .hash(error))
        }
        let user = [UInt8](copying: text.extracting(0..<colon))[...]
        guard hashes.updateValue(hash, forKey: user) == nil else { throw FaultReason(reason: .repeatedUser) }
        if hash.weight > costliest?.weight ?? 0 { costliest = hash }
    }

    /// Without white space and the carriage return at the line's end.
    private static func lengthWithoutSpaces(_ line: Span<UInt8>) -> Int {
        var count = line.count
        while count > 0, line[count - 1].isOptionalWhitespace || line[count - 1] == UInt8(ascii: "\r") {
            count -= 1
        }
        return count
    }
}
