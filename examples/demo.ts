import { runDemo } from './demo/run-demo.js';

// `npm run demo | head` closes the pipe early: that is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});

process.exitCode = await runDemo(process.argv.slice(2));
