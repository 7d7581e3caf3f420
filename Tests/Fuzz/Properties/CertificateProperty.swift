@testable import ChimeraTLS

/// A site's chain and key as two PEM texts in one input, the second behind the first zero octet; without one, the input
/// is both. Behind the second zero octet there is an OCSP response.
///
/// - What is refused is refused for a reason that can be said, and for the same one when it is read again.
/// - What is taken is a certificate whose time and names can be asked for, and what clients may take amiss of it.
/// - Those who sign clients' certificates are as many texts, and are read from the chain alone.
func certificateFailure(_ input: [UInt8]) -> String? {
    let parts = input.split(separator: 0, maxSplits: 2, omittingEmptySubsequences: false).map(Array.init)
    let chain = parts[0]
    let key = parts.count > 1 ? parts[1] : input
    let status = parts.count > 2 ? parts[2] : nil
    let first = read(chain, key, status)
    switch (first, read(chain, key, status)) {
    case (.success(let one), .success(let other)):
        if one.covers("a.test") != other.covers("a.test") { return "it covers a host once, and not again" }
        if one.covers("*.a.test") && !one.covers("x.a.test") {
            return "it covers a wildcard but no label of it"
        }
        if one.doubts != other.doubts { return "its doubts are others" }
        if one.status?.doubt != other.status?.doubt { return "its OCSP response is another" }
        if abs(one.secondsLeft - other.secondsLeft) > 60 { return "its time is another" }
    case (.failure(let one), .failure(let other)):
        if one != other { return "\(one), and then \(other)" }
        if one.reason.isEmpty { return "no reason" }
        if one == .unavailable && !chain.isEmpty { return "no memory" }
    default: return "it is refused and taken"
    }
    let trust = Result { () throws(CertificateFault) in try ClientTrust(authorities: chain, isRequired: true)
    }
    if case .success = first, case .failure(let fault) = trust {
        return "a chain is no list of authorities: \(fault)"
    }
    return nil
}

private func read(
    _ chain: [UInt8], _ key: [UInt8], _ status: [UInt8]?
) -> Result<ServerCertificate, CertificateFault> {
    Result { () throws(CertificateFault) in try ServerCertificate(chain: chain, key: key, status: status) }
}
