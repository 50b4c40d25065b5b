import './foreign-server-cases.js';
