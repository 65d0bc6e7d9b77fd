//! Beta quantiles against a table made with scipy.

use trustline::score::beta::Beta;

#[test]
fn quantiles_agree_with_scipy() {
    let table = include_str!("golden/beta.tsv");
    let mut rows = 0;
    for line in table.lines().filter(|line| !line.starts_with('#')).skip(1) {
        let fields: Vec<f64> = line.split('\t').map(|field| field.parse().unwrap()).collect();
        let [people, affected, p, expected] = fields[..] else { panic!("not four fields: {line}") };
        let got = Beta::new(0.1 + affected, 19.9 + people - affected).quantile(p);
        let error = (got / expected - 1.0).abs();
        assert!(error <= 1e-9, "{line}: got {got:e}, off by {error:e}");
        rows += 1;
    }
    assert!(rows > 500, "the table has only {rows} rows");
}
