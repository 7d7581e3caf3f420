import Testing

@testable import ChimeraConfiguration

@Suite struct ReferencePageTests {
    /// The repository's folder, from this file's place in it.
    private static let root = #filePath.split(separator: "/").dropLast(3).map { "/\($0)" }.joined()

    @Test func `docs slash reference is what make docs writes`() throws {
        let page = try SystemFileSystem().read("\(Self.root)/docs/reference.md", atMost: 1 << 20)
        // Not the whole page in a message: the first line that differs says enough.
        let (old, new) = (String(decoding: page, as: UTF8.self), Reference.markdown())
        let lines = zip(old.split(separator: "\n"), new.split(separator: "\n"))
        let difference = lines.first { $0 != $1 }.map { "\($0) should be \($1)" }
        #expect(difference == nil)
        #expect(old == new || difference != nil)
    }
}
