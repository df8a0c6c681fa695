//! The constructors that the middlewares of all frameworks have.

/// Adds the constructors to a struct whose only field is a `recorder`.
macro_rules! constructors {
    ($middleware:ident) => {
        impl $middleware {
            /// Records requests in measurements of this name, in this database (a bucket on
            /// InfluxDB 2.x). An empty database is the client's default one.
            ///
            /// Without a database or a name, nothing is recorded, and the log says so once.
            pub fn new(
                client: $crate::Client,
                database: impl Into<String>,
                measurement: impl Into<String>,
            ) -> Self {
                Self::with_options(client, database, measurement, Default::default())
            }

            /// As [`new`](Self::new), with options.
            pub fn with_options(
                client: $crate::Client,
                database: impl Into<String>,
                measurement: impl Into<String>,
                options: $crate::middleware::RequestOptions,
            ) -> Self {
                let recorder =
                    $crate::middleware::Recorder::new(client, database, measurement, options);
                Self { recorder }
            }
        }
    };
}

pub(super) use constructors;
