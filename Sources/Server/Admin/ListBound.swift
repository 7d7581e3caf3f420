internal import ArgumentParser
internal import ChimeraAdministration

/// How many entries of a list somebody asks for.
enum ListBound {
    /// What one answer holds at most.
    static let most = 10_000
    private static let wrong = "a number from 1 to \(most)"

    /// The value of `--limit`.
    static func read(_ text: String) throws -> Int {
        guard let count = Int(text), (1...most).contains(count) else {
            throw ValidationError("it is \(wrong)")
        }
        return count
    }

    /// What a request asks for; without a word about it all.
    static func of(_ request: JSON) -> Result<Int, Wrong> {
        guard let value = request["limit"] else { return .success(most) }
        guard let count = value.integer, count >= 1 else { return .failure(Wrong()) }
        return .success(Int(min(count, Int64(most))))
    }

    /// It is none.
    struct Wrong: Error {
        let reason = "\"limit\" is \(ListBound.wrong)"
    }
}
