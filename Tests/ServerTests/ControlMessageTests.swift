import Testing

@testable import ChimeraServer

@Suite struct ControlMessageTests {
    private let message = ControlMessage(.listen).with(.request, 7).with(.address, "[::1]:80").with(
        .count, -1)

    @Test func `what is sent is what is received`() throws {
        let received = try #require(ControlMessage(message.encoded))
        #expect(received == message)
        #expect(received.number(.request) == 7)
        #expect(received.text(.address) == "[::1]:80")
        #expect(received.number(.count) == -1)
        #expect(received.text(.version) == nil)
    }

    @Test func `a field of a later version is passed over`() {
        var bytes = message.encoded
        bytes += [200, 0, 0, 0, 3, 1, 2, 3]
        #expect(ControlMessage(bytes) == message)
    }

    @Test func `the bytes stay what they are, since another version reads them`() {
        #expect(ControlMessage(.drain).with(.count, 1).encoded == [1, 66, 3, 0, 0, 0, 1, 0x31])
    }

    @Test(
        arguments: [
            [], [1], [2, 1], [1, 0], [1, 255], [1, 1, 1], [1, 1, 1, 0, 0, 0], [1, 1, 1, 0, 0, 0, 2, 0],
            [1, 1, 1, 255, 255, 255, 255, 0],
        ] as [[UInt8]])
    func `what is no message is none`(bytes: [UInt8]) {
        #expect(ControlMessage(bytes) == nil)
    }

    @Test func `every cut of a message is none, or one with fewer fields`() {
        let bytes = message.encoded
        for count in 0..<bytes.count {
            if let cut = ControlMessage(Array(bytes[..<count])) {
                #expect(cut.fields.count < message.fields.count)
            }
        }
    }
}
