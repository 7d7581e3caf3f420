import Glibc
import Testing

@testable import ChimeraFiles

@Suite struct `A file's stamp` {
    private func stamp(_ modified: FileTime, size: Int64 = 255, changed: FileTime = FileTime(seconds: 9))
        -> FileStamp
    {
        var stamp = FileStamp(stat())
        stamp.modified = modified
        stamp.changed = changed
        stamp.size = size
        return stamp
    }

    private func time(_ seconds: Int64, _ nanoseconds: Int64 = 0) -> FileTime {
        FileTime(seconds: seconds, nanoseconds: nanoseconds)
    }

    @Test(
        arguments: [
            (100, 1, 100, 49_000_000, true), (100, 1, 100, 51_000_000, false),
            (100, 0, 101, 999_999_999, true),
            (100, 0, 102, 0, false), (100, 40_000_000, 100, 1, true), (200, 1, 100, 0, false),
            (Int64.max, 1, 100, 0, false), (Int64.min, 1, 100, 0, false),
            (Int64.min + 100, 1, 100, 0, false), (Int64.min, 1, 0, 0, false), (0, 1, Int64.max, 0, false),
        ] as [(Int64, Int64, Int64, Int64, Bool)])
    func `is young in the tick of its clock`(
        _ seconds: Int64, _ nanoseconds: Int64, _ nowSeconds: Int64, _ nowNanoseconds: Int64, _ isYoung: Bool
    ) {
        #expect(stamp(time(seconds, nanoseconds)).isYoung(at: time(nowSeconds, nowNanoseconds)) == isYoung)
    }

    @Test(
        arguments: [
            (100, 500, 100, 500, true), (100, 501, 100, 500, true), (101, 0, 100, 500, true),
            (100, 0, 100, 999_999_999, true), (100, 499, 100, 500, true), (100, 500, 100, 2000, false),
            (99, 0, 100, 0, false), (99, 999_999_999, 100, 0, false),
        ] as [(Int64, Int64, Int64, Int64, Bool)])
    func `of a variant is current unless it is older`(
        _ seconds: Int64, _ nanoseconds: Int64, _ ofSeconds: Int64, _ ofNanoseconds: Int64, _ isCurrent: Bool
    ) {
        let original = stamp(time(ofSeconds, ofNanoseconds))
        #expect(stamp(time(seconds, nanoseconds)).isCurrent(for: original) == isCurrent)
    }

    @Test func `makes a strong tag of time and size, and a variant's own`() {
        let stamp = stamp(time(4096, 16))
        #expect(
            String(decoding: stamp.entityTag(suffix: "", isYoung: false), as: UTF8.self) == "\"1000-10-ff\"")
        #expect(
            String(decoding: stamp.entityTag(suffix: "-br", isYoung: false), as: UTF8.self)
                == "\"1000-10-ff-br\"")
    }

    @Test func `makes a weak tag while it is young, which its strong tag does not match`() {
        let tag = String(decoding: stamp(time(4096, 16)).entityTag(suffix: "", isYoung: true), as: UTF8.self)
        #expect(tag == "W/\"1000-10-ff-young\"")
    }

    @Test func `takes the inode's change where the time says nothing`() {
        let old = stamp(time(1), changed: time(256, 1))
        #expect(String(decoding: old.entityTag(suffix: "", isYoung: false), as: UTF8.self) == "\"c100-1-ff\"")
        #expect(old.lastModified(at: time(500)) == nil)
    }

    @Test(
        arguments: [(499, 499), (500, 500), (501, nil), (Int64.max, nil), (Int64.min, nil)]
            as [(Int64, Int64?)])
    func `gives no Last-Modified in the future`(_ seconds: Int64, _ expected: Int64?) {
        #expect(stamp(time(seconds)).lastModified(at: time(500)) == expected)
    }

    @Test(arguments: [Int64.min, -1, 0, Int64.max])
    func `of any second has a tag`(_ seconds: Int64) {
        let tag = stamp(time(seconds), size: .max).entityTag(suffix: "-zst", isYoung: false)
        #expect(tag.first == UInt8(ascii: "\"") && tag.last == UInt8(ascii: "\""))
    }
}
