import ChimeraBytes
import ChimeraHTTPCore
import Testing

@Suite struct ForwardingNamesTests {
    @Test(arguments: [
        "X-Forwarded-Port", "x_forwarded_for", "X-Forwarded_Proto", "X-FORWARDED", "X-ForwardedFor",
        "X_Real_IP",
        "Forwarded", "X-Forwarded-Client-Cert",
    ]) func `a name that a program may read as one of those that say who asks`(name: String) {
        let isOne = ForwardingNames.contains(Array(name.utf8).span)
        #expect(isOne)
    }

    @Test(arguments: [
        "X-Forward", "Forwarded-By", "Forwarde", "X-Real-IPs", "XForwardedFor", "X-Own_Name", "_", "",
    ])
    func `any other name`(name: String) {
        let isOne = ForwardingNames.contains(Array(name.utf8).span)
        #expect(!isOne)
    }

    @Test(arguments: [
        ("X_User", "X-User", true), ("x_user", "X-User", true), ("X-User", "X_User", true),
        ("x-user", "X-User", false), ("X_Users", "X-User", false), ("XAUser", "X-User", false),
        ("", "", false),
    ]) func `a name is an alias of another by its dashes alone`(name: String, other: String, expected: Bool) {
        let isAlias = ForwardingNames.isAlias(Array(name.utf8).span, of: Array(other.utf8).span)
        #expect(isAlias == expected)
    }
}
